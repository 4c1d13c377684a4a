"""Reads the issuer, names and end date of a server's certificate, even if the certificate is not trusted."""

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from agent.model.status import rfc3339
from agent.model.text import printable

_NAMES_SHOWN: Final = 4
# The server controls this data, so its size is bounded.
_MAX_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Certificate:
    """The issuer, the names and the end date of a certificate. Its text comes from outside and is made printable."""

    issuer: str
    names: tuple[str, ...]
    expires_at: datetime | None
    self_signed: bool

    @property
    def issued_by(self) -> str:
        return "itself (self-signed)" if self.self_signed else self.issuer or "an unnamed authority"

    def __str__(self) -> str:
        shown = ", ".join(self.names[:_NAMES_SHOWN]) or "no name"
        more = f" and {len(self.names) - _NAMES_SHOWN} more" if len(self.names) > _NAMES_SHOWN else ""
        until = rfc3339(self.expires_at) or "an unreadable date"
        return f"issued by {self.issued_by}, for {shown}{more}, valid until {until}"


def read_certificate(der: bytes | None) -> Certificate | None:
    """Parse a certificate in DER form. Returns None if it cannot be read."""
    fields = _decoded(der) if der and len(der) <= _MAX_BYTES else None
    if fields is None:
        return None
    try:
        expires_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(fields["notAfter"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        expires_at = None
    names = tuple(printable(str(value), 100) for _, value in fields.get("subjectAltName", ()))
    subject, issuer = (_distinguished_name(fields.get(which, ())) for which in ("subject", "issuer"))
    return Certificate(issuer, names, expires_at, self_signed=bool(issuer) and subject == issuer)


def recording_context(host: str, seen: list[bytes]) -> ssl.SSLContext:
    """Return a context that adds the certificate of `host` to `seen`, and then ends the connection.

    So nothing is sent to a server that is not trusted.
    """

    class Recorder(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            # On the way, there may be a handshake with a proxy.
            if self.server_hostname == host:
                seen.append(self.getpeercert(binary_form=True) or b"")
                raise ssl.SSLError("the certificate is all that is wanted")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Verification is off only to read the certificate and show what is wrong with it.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = Recorder
    return context


def _decoded(der: bytes) -> Mapping[str, Any] | None:
    """The fields of a certificate, as `getpeercert` returns them for a verified one.

    `ssl` decodes only verified certificates. Its test helper decodes any, but only from a file: hence the memfd.
    """
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, ssl.DER_cert_to_PEM_cert(der).encode())
        decoded: Mapping[str, Any] = ssl._ssl._test_decode_cert(f"/proc/self/fd/{descriptor}")  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no public way to decode an unverified certificate
    except (AttributeError, OSError, ValueError):
        return None
    else:
        return decoded
    finally:
        os.close(descriptor)


def _distinguished_name(name: Iterable[Iterable[tuple[str, str]]]) -> str:
    """A subject or issuer as text, for example `Example CA (Example Inc.)`."""
    parts = {key: printable(str(value), 100) for attributes in name for key, value in attributes}
    common, organisation = parts.get("commonName"), parts.get("organizationName")
    if common and organisation:
        return f"{common} ({organisation})"
    return common or organisation or printable(", ".join(parts.values()), 100)
