"""Finds certificate authorities for the interpreter of the portable tree. The tree's ssl.py imports this at its end.

The tree's OpenSSL searches where Debian has them. Other systems have them elsewhere, or have none. This sets no
environment variable, so programs that the agent starts are not affected.
"""  # noqa: INP001 - the tree has it as a module, under another name

import contextlib
import os
import ssl
from typing import Any

# The files of Go's crypto/x509, in its order, so that docker and the agent trust the same authorities.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_openssl_paths = ssl.get_default_verify_paths
_openssl_load = ssl.SSLContext.load_default_certs


def _bundle() -> str | None:
    """Return the file to load. None if OpenSSL finds authorities by itself, or if a variable names others."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return None
    found = _openssl_paths()
    with contextlib.suppress(OSError):
        if found.cafile or (found.capath and os.listdir(found.capath)):  # noqa: PTH208 - pathlib would slow down each start
            return None
    for path in _SYSTEM_BUNDLES:
        if os.path.isfile(path):  # noqa: PTH113 - as above
            return path
    import certifi  # noqa: PLC0415 - the last resort

    return certifi.where()


def _paths() -> ssl.DefaultVerifyPaths:
    found, bundle = _openssl_paths(), _bundle()
    return found._replace(cafile=bundle, openssl_cafile=bundle) if bundle else found


def _load(self: ssl.SSLContext, *purpose: Any) -> None:
    _openssl_load(self, *purpose)
    bundle = _bundle()
    if bundle:
        self.load_verify_locations(cafile=bundle)


ssl.get_default_verify_paths = _paths
ssl.SSLContext.load_default_certs = _load
