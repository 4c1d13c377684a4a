"""A private certificate authority."""

import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

import trustme


class Authority:
    """Signs certificates for any host name. Programs that load `bundle` trust it."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        self._ca: Final = trustme.CA()
        self.bundle: Final = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.bundle)

    def issue(self, *names: str, not_after: datetime | None = None) -> trustme.LeafCert:
        return self._ca.issue_cert(*names, not_after=not_after)

    def context(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issue(*names).configure_cert(context)
        return context

    def files(self, *names: str) -> tuple[Path, Path]:
        """The certificate chain and the key for `names`, as PEM files."""
        issued = self.issue(*names)
        chain, key = (self._directory / f"{names[0]}.{ending}" for ending in ("crt", "key"))
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return chain, key
