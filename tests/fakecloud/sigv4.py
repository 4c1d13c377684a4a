"""Reads and verifies AWS Signature Version 4 on a request.

The scheme: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,"
    r"\s*SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Signature:
    """The content of the `Authorization` and `X-Amz-Date` headers."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a signature covers. `headers` must be case-insensitive."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes


def read_signature(headers: Mapping[str, str]) -> Signature | None:
    """Parse the signature. Returns None if the request is not signed, or with another scheme."""
    match = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    if match is None:
        return None
    try:
        signed_at = datetime.strptime(headers.get("X-Amz-Date", ""), _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    signed_headers = tuple(match["headers"].split(";"))
    return Signature(
        match["key"], match["date"], match["region"], match["service"], signed_headers, match["signature"], signed_at
    )


def verifies(signature: Signature, secret_access_key: str, request: SignedRequest) -> bool:
    scope = f"{signature.date}/{signature.region}/{signature.service}/aws4_request"
    canonical = _canonical(signature, request)
    to_sign = "\n".join(("AWS4-HMAC-SHA256", aws_time(signature.signed_at), scope, _sha256(canonical.encode())))
    key = f"AWS4{secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, to_sign.encode(), "sha256").hex(), signature.value)


def aws_time(moment: datetime) -> str:
    """Return a time in the format of AWS's signatures and of the errors about them."""
    return moment.astimezone(UTC).strftime(_TIME_FORMAT)


def _canonical(signature: Signature, request: SignedRequest) -> str:
    query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(request.query))
    headers = "".join(
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signature.signed_headers
    )
    return "\n".join(
        (
            request.method,
            quote(request.path, safe="/-_.~"),
            query,
            headers,
            ";".join(signature.signed_headers),
            _sha256(request.body),
        )
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
