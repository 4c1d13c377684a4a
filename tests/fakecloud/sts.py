"""The answers of STS in the XML of the query protocol."""

from collections.abc import Mapping
from typing import Final, TypeAlias
from xml.sax.saxutils import escape

from tests.fakecloud.aws_faults import STS_NAMESPACE
from tests.fakecloud.principals import Principal

Result: TypeAlias = Mapping[str, "str | Mapping[str, str]"]
"""The members of an answer, nested at most one level deep."""

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


def answer(operation: str, result: Result, request_id: str) -> str:
    return (
        f'<{operation}Response xmlns="{STS_NAMESPACE}"><{operation}Result>{_members(result)}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )


def caller(principal: Principal) -> Result:
    return {"Arn": principal.arn, "UserId": principal.user_id, "Account": principal.account}


def assumed(session: Principal) -> Result:
    """Return the keys of a new session, and the role that it belongs to."""
    assert session.session_token is not None
    assert session.expires_at is not None
    return {
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "SessionToken": session.session_token,
            "Expiration": session.expires_at.strftime(_TIME),
        },
    }


def _members(result: Result) -> str:
    return "".join(
        f"<{name}>{_members(value) if isinstance(value, Mapping) else escape(value)}</{name}>"
        for name, value in result.items()
    )
