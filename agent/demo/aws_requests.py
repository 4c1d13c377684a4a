"""Requests to the pretend AWS: read, and traced to who signed them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from agent.demo.aws_faults import Protocol, refusal
from agent.demo.principals import Principal, Principals
from agent.demo.sigv4 import SignedRequest, aws_time, read_signature, verifies

_TARGETS: Final = {"AmazonEC2ContainerRegistry_V20150921": "ecr", "SpencerFrontendService": "ecr-public"}
_LARGEST_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Asked:
    """One API request, whoever it is from; `fields` are the form of the query protocol."""

    protocol: Protocol
    service: str
    operation: str
    fields: Mapping[str, str]
    signed: SignedRequest

    @property
    def action(self) -> str:
        """As IAM names it, such as `ecr:GetAuthorizationToken`."""
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed a request, and for which region."""

    principal: Principal
    region: str


async def read(request: web.BaseRequest) -> Asked:
    body = await request.read()
    signed = SignedRequest(request.method, request.path, tuple(request.query.items()), request.headers, body)
    prefix, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
    if operation:
        return Asked(Protocol.JSON, _TARGETS.get(prefix, "unknown"), operation, {}, signed)
    fields = dict(parse_qsl(body.decode("utf-8", "replace")))
    return Asked(Protocol.QUERY, "sts", fields.get("Action", "unknown"), fields, signed)


def authenticate(asked: Asked, principals: Principals, now: datetime) -> Caller:
    """Whose signature it is.

    Raises:
        Refused: unsigned, unknown keys, for another service, at another time, wrong, or of a session that ended.
    """
    signature = read_signature(asked.signed.headers)
    if signature is None:
        raise refusal("unsigned")
    principal = principals.find(signature.access_key_id)
    if principal is None or principal.session_token != asked.signed.headers.get("X-Amz-Security-Token"):
        raise refusal("unknown_key")
    if asked.service != signature.service:
        raise refusal("wrong_scope", service=asked.service)
    _check_time(signature.signed_at, now)
    if not verifies(signature, principal.secret_access_key, asked.signed):
        raise refusal("bad_signature")
    if principal.expires_at is not None and now >= principal.expires_at:
        raise refusal("expired_credentials")
    return Caller(principal, signature.region)


def times(signed_at: datetime, now: datetime) -> dict[str, str]:
    """What AWS's errors about a signature's time name."""
    return {
        "signed_at": aws_time(signed_at),
        "earliest": aws_time(now - _LARGEST_SKEW),
        "latest": aws_time(now + _LARGEST_SKEW),
        "now": aws_time(now),
    }


def _check_time(signed_at: datetime, now: datetime) -> None:
    ahead = signed_at - now
    if abs(ahead) > _LARGEST_SKEW:
        raise refusal("signature_early" if ahead > timedelta() else "signature_expired", **times(signed_at, now))
