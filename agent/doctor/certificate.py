"""Describes a server's certificate, even one that is not trusted: its issuer, its names and its end date."""

import os
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from agent.model.status import rfc3339
from agent.model.text import printable

_NAMES_SHOWN: Final = 4
# The server controls this data, so its size is bounded.
_MAX_BYTES: Final = 1 << 16


def describe_certificate(der: bytes | None) -> str | None:
    """Describe a certificate in DER form. Its text comes from outside and is made printable. None if unreadable."""
    fields = _decoded(der) if der and len(der) <= _MAX_BYTES else None
    if fields is None:
        return None
    try:
        until = rfc3339(datetime.fromtimestamp(ssl.cert_time_to_seconds(fields["notAfter"]), UTC))
    except (KeyError, ValueError, OverflowError, OSError):
        until = "an unreadable date"
    names = [printable(str(value), 100) for _, value in fields.get("subjectAltName", ())]
    shown = ", ".join(names[:_NAMES_SHOWN]) or "no name"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    subject, issuer = (_distinguished_name(fields.get(which, ())) for which in ("subject", "issuer"))
    by = "itself (self-signed)" if issuer and subject == issuer else issuer
    return f"issued by {by}, for {shown}{more}, valid until {until}"


def _decoded(der: bytes) -> Mapping[str, Any] | None:
    """The fields of a certificate, as `getpeercert` returns them for a verified one.

    `ssl` decodes only verified certificates. Its test helper decodes any, but only from a file: hence the memfd.
    """
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, ssl.DER_cert_to_PEM_cert(der).encode())
        decoded: Mapping[str, Any] = ssl._ssl._test_decode_cert(f"/proc/self/fd/{descriptor}")  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no public way to decode an unverified certificate
        return decoded  # noqa: TRY300 - an else block would only separate this from the call
    except (AttributeError, OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def _distinguished_name(name: Iterable[Iterable[tuple[str, str]]]) -> str:
    """A subject or issuer as text, for example `Example CA (Example Inc.)`."""
    parts = {key: printable(str(value), 100) for attributes in name for key, value in attributes}
    common, organisation = parts.get("commonName"), parts.get("organizationName")
    if common and organisation:
        return f"{common} ({organisation})"
    return common or organisation or printable(", ".join(parts.values()), 100)
