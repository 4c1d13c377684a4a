"""Where the interpreter of the portable tree finds certificate authorities; the tree's own ssl.py loads this last.

Its OpenSSL was built to look where Debian keeps them. In another system they lie elsewhere, or there are none. Nothing
is set in the environment: programs that the agent starts are none the wiser.
"""  # noqa: INP001 - it becomes a module in the tree, under another name

import contextlib
import os
import ssl
from typing import Any

# Those of Go's crypto/x509, in its order, so that docker and the agent trust the same.
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
    """The file to load beside what OpenSSL finds by itself; None where it finds some, or a person named others."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return None
    found = _openssl_paths()
    with contextlib.suppress(OSError):
        if found.cafile or (found.capath and os.listdir(found.capath)):  # noqa: PTH208 - pathlib would cost each start
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
