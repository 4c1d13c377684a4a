"""Parses the replies of AWS. It must not trust anything in them."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from agent.model.aws_errors import SUBJECT
from agent.model.credential import AwsKeys, Token
from agent.model.http_headers import parse_date
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsError
from agent.model.sensitive import Sensitive
from agent.model.text import printable

_USER_AND_PASSWORD: Final = re.compile(r"([!-9;-~]+):([!-~]+)")


def parse_token(reply: Mapping[str, Any]) -> Token:
    """Return the token in a reply of ECR (`authorizationData` is a list) or of ECR Public (an object).

    `proxyEndpoint` is ignored, because the token is valid for every registry of the region. Raises a ProblemError that
    names what is missing or wrong.
    """
    data = reply.get("authorizationData")
    if isinstance(data, list):
        data = data[0] if data else None
    if not isinstance(data, Mapping):
        raise ProblemError(_unusable("authorizationData is missing"))
    username, password = _user_and_password(data.get("authorizationToken"))
    expires_at = data.get("expiresAt")
    if not isinstance(expires_at, datetime):
        raise ProblemError(_unusable("expiresAt is missing"))
    try:
        expires_at = (expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ProblemError(_unusable("expiresAt is out of range")) from None
    return Token(username, password, expires_at, server_time=server_time(reply))


def parse_role_session(reply: Mapping[str, Any], role_arn: str) -> tuple[AwsKeys, str | None]:
    """Return the keys in a reply to `AssumeRole…`, and the ARN of the session if the reply has it.

    Raises a ProblemError if the reply has no keys.
    """
    try:
        given = reply["Credentials"]
        keys = AwsKeys(given["AccessKeyId"], Sensitive(given["SecretAccessKey"]), Sensitive(given["SessionToken"]))
    except (KeyError, TypeError):
        message = f"the answer to AssumeRole for {role_arn} contains no credentials"
        raise ProblemError(AwsError(SUBJECT, message)) from None
    arn = reply.get("AssumedRoleUser", {}).get("Arn")
    return keys, printable(arn) if arn else None


def server_time(reply: Mapping[str, Any]) -> datetime | None:
    """Return the Date header of a reply or of an error's reply, or None if it is missing or invalid."""
    try:
        return parse_date(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError):
        return None


def _user_and_password(token: object) -> tuple[str, Sensitive]:
    if not isinstance(token, str) or not token:
        raise ProblemError(_unusable("authorizationToken is missing"))
    try:
        decoded = base64.b64decode(token, validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        # Not chained: the error quotes the text it could not decode, which is most of a password.
        raise ProblemError(_unusable("authorizationToken is not base64-encoded text")) from None
    match = _USER_AND_PASSWORD.fullmatch(decoded)
    if match is None:
        raise ProblemError(_unusable("authorizationToken is not a user name, a colon and a password"))
    return match[1], Sensitive(match[2])


def _unusable(reason: str) -> AwsError:
    return AwsError(SUBJECT, f"the answer to GetAuthorizationToken cannot be used: {reason}")
