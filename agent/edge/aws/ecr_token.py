"""What `GetAuthorizationToken` answers, parsed; a reply may hold anything."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from agent.model.aws_errors import SUBJECT
from agent.model.credential import EcrToken
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsError
from agent.model.sensitive import Sensitive

_USER_AND_PASSWORD: Final = re.compile(r"([!-9;-~]+):([!-~]+)")


def parse_token(reply: Mapping[str, Any]) -> EcrToken:
    """The token in a reply of ECR (`authorizationData` is a list) or of ECR Public (an object).

    `proxyEndpoint` is left unread: the token serves every registry of the region.

    Raises:
        AwsError: what is missing or wrong.
    """
    data = reply.get("authorizationData")
    if isinstance(data, list):
        data = data[0] if data else None
    if not isinstance(data, Mapping):
        raise ProblemError(_wrong("authorizationData is missing"))
    username, password = _user_and_password(data.get("authorizationToken"))
    expires_at = data.get("expiresAt")
    if not isinstance(expires_at, datetime):
        raise ProblemError(_wrong("expiresAt is missing"))
    try:
        ends = _utc(expires_at)
    except OverflowError:
        raise ProblemError(_wrong("expiresAt is beyond the calendar")) from None
    return EcrToken(username, password, ends, server_time=server_time(reply))


def server_time(reply: Mapping[str, Any]) -> datetime | None:
    """The Date header of a reply (or of an error's), None where it has none that can be read."""
    try:
        return _utc(parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _user_and_password(token: object) -> tuple[str, Sensitive]:
    if not isinstance(token, str) or not token:
        raise ProblemError(_wrong("authorizationToken is missing"))
    try:
        decoded = base64.b64decode(token, validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        # The error quotes what it could not decode, which is most of a password.
        raise ProblemError(_wrong("authorizationToken is not base64 of a text")) from None
    match = _USER_AND_PASSWORD.fullmatch(decoded)
    if match is None:
        raise ProblemError(_wrong("authorizationToken is not a user name, a colon and a password"))
    return match[1], Sensitive(match[2])


def _utc(moment: datetime) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _wrong(fault: str) -> AwsError:
    return AwsError(SUBJECT, f"the answer to GetAuthorizationToken cannot be used: {fault}")
