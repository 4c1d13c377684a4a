"""What a server's certificate says of itself, also where nobody vouches for it."""

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from agent.model.status import rfc3339
from agent.model.text import printable

_NAMES_SHOWN: Final = 4
_LONGEST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who issued it, for which names, until when; outside text, made printable."""

    issuer: str
    names: tuple[str, ...]
    ends: datetime | None
    self_signed: bool

    def __str__(self) -> str:
        shown = ", ".join(self.names[:_NAMES_SHOWN]) or "no name"
        more = f" and {len(self.names) - _NAMES_SHOWN} more" if len(self.names) > _NAMES_SHOWN else ""
        issuer = "itself (self-signed)" if self.self_signed else self.issuer
        return f"issued by {issuer}, for {shown}{more}, ends {rfc3339(self.ends) or 'at no time that can be read'}"


def read_certificate(der: bytes | None) -> Certificate | None:
    """None where it cannot be read."""
    fields = _decoded(der) if der and len(der) <= _LONGEST else None
    if fields is None:
        return None
    try:
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(fields["notAfter"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        ends = None
    names = tuple(printable(str(value), 100) for _, value in fields.get("subjectAltName", ()))
    subject, issuer = (_words(fields.get(which, ())) for which in ("subject", "issuer"))
    return Certificate(issuer, names, ends, self_signed=bool(issuer) and subject == issuer)


def _decoded(der: bytes) -> Mapping[str, Any] | None:
    """As `getpeercert` gives it for what was verified: the same decoder, which takes a file in memory."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, ssl.DER_cert_to_PEM_cert(der).encode())
        decoded: Mapping[str, Any] = ssl._ssl._test_decode_cert(f"/proc/self/fd/{descriptor}")  # type: ignore[attr-defined]  # noqa: SLF001 - the library reads no certificate that it did not verify
    except (AttributeError, OSError, ValueError):
        return None
    else:
        return decoded
    finally:
        os.close(descriptor)


def _words(name: Iterable[Iterable[tuple[str, str]]]) -> str:
    """Such as `Example CA (Example Inc.)`."""
    parts = {key: printable(str(value), 100) for attributes in name for key, value in attributes}
    common, organisation = parts.get("commonName"), parts.get("organizationName")
    if common and organisation:
        return f"{common} ({organisation})"
    return common or organisation or printable(", ".join(parts.values()), 100)
