"""Parses and authenticates requests to the simulated AWS."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from tests.fakecloud.aws_faults import Protocol, refusal
from tests.fakecloud.principals import Principal, Principals
from tests.fakecloud.sigv4 import SignedRequest, aws_time, read_signature, verifies

_TARGETS: Final = {"AmazonEC2ContainerRegistry_V20150921": "ecr", "SpencerFrontendService": "ecr-public"}
_MAX_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One API request before authentication. `fields` is the form of the query protocol."""

    protocol: Protocol
    service: str
    operation: str
    fields: Mapping[str, str]
    signed: SignedRequest

    @property
    def action(self) -> str:
        """The action's name in IAM, such as `ecr:GetAuthorizationToken`."""
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal that signed a request, and the region it signed for."""

    principal: Principal
    region: str


async def read(request: web.BaseRequest) -> ApiRequest:
    body = await request.read()
    signed = SignedRequest(request.method, request.path, tuple(request.query.items()), request.headers, body)
    prefix, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
    if operation:
        return ApiRequest(Protocol.JSON, _TARGETS.get(prefix, "unknown"), operation, {}, signed)
    fields = dict(parse_qsl(body.decode("utf-8", "replace")))
    return ApiRequest(Protocol.QUERY, "sts", fields.get("Action", "unknown"), fields, signed)


def authenticate(request: ApiRequest, principals: Principals, now: datetime) -> Caller:
    """Return the principal that signed the request, and the region.

    Raises:
        Refused: it is unsigned, or its keys are unknown, or the signature is wrong or for another service or time,
            or the session has expired.
    """
    signature = read_signature(request.signed.headers)
    if signature is None:
        raise refusal("unsigned")
    principal = principals.find(signature.access_key_id)
    if principal is None or principal.session_token != request.signed.headers.get("X-Amz-Security-Token"):
        raise refusal("unknown_key")
    if request.service != signature.service:
        raise refusal("wrong_scope", service=request.service)
    _check_time(signature.signed_at, now)
    if not verifies(signature, principal.secret_access_key, request.signed):
        raise refusal("bad_signature")
    if principal.expires_at is not None and now >= principal.expires_at:
        raise refusal("expired_credentials")
    return Caller(principal, signature.region)


def times(signed_at: datetime, now: datetime) -> dict[str, str]:
    """Return the times that AWS's errors about the time of a signature mention."""
    return {
        "signed_at": aws_time(signed_at),
        "earliest": aws_time(now - _MAX_SKEW),
        "latest": aws_time(now + _MAX_SKEW),
        "now": aws_time(now),
    }


def _check_time(signed_at: datetime, now: datetime) -> None:
    ahead = signed_at - now
    if abs(ahead) > _MAX_SKEW:
        raise refusal("signature_early" if ahead > timedelta() else "signature_expired", **times(signed_at, now))
