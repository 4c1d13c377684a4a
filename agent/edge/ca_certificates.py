"""The certificates that the agent's own calls trust: those of the system, of the environment and of the caller."""

import contextlib
import os
import ssl
import threading
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Final

_MAX_CACHED: Final = 16
_BUNDLE: Final = "SSL_CERT_FILE"


class CaFileError(OSError):
    """A requested CA file cannot be read or contains no certificate. The text names the file."""


class CertificateAuthorities:
    """Caches one TLS context for each set of files, until the files change.

    Reading the system's roots costs about 20 ms and half a megabyte each time.
    """

    def __init__(self) -> None:
        self._contexts: Final[dict[Hashable, ssl.SSLContext]] = {}
        self._reading: Final = threading.Lock()

    def context(self, ca_files: tuple[Path, ...]) -> ssl.SSLContext:
        """Return a context that also trusts `ca_files`. Reads from disk, so do not call it in the event loop.

        Raises:
            CaFileError: one of `ca_files` cannot be used.
        """
        key = tuple(_signature(path) for path in (*_roots(), *ca_files))
        with self._reading:
            if key not in self._contexts:
                # Files change rarely: it is enough to start over when the cache is full.
                if len(self._contexts) >= _MAX_CACHED:
                    self._contexts.clear()
                self._contexts[key] = _new_context(ca_files)
            return self._contexts[key]


@contextlib.contextmanager
def roots_unread() -> Iterator[None]:
    """Keep `import aiohttp` from reading the system's bundle for a context that is never used. It saves 30 ms."""
    former = os.environ.get(_BUNDLE)
    os.environ[_BUNDLE] = os.devnull
    try:
        yield
    finally:
        if former is None:
            del os.environ[_BUNDLE]
        else:
            os.environ[_BUNDLE] = former


def _new_context(ca_files: Iterable[Path]) -> ssl.SSLContext:
    """Trust the system's roots (or `SSL_CERT_FILE`), `AWS_CA_BUNDLE` if it can be read, and `ca_files`."""
    context = ssl.create_default_context()
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle:
        # If it cannot be read, only the servers that need it fail, with a certificate error.
        with contextlib.suppress(CaFileError):
            _trust(context, Path(bundle))
    for path in ca_files:
        _trust(context, path)
    return context


def _roots() -> list[Path]:
    """Return the files that decide what the system trusts, from the environment and the defaults."""
    default = ssl.get_default_verify_paths()
    named = [os.environ.get(_BUNDLE), os.environ.get("SSL_CERT_DIR"), os.environ.get("AWS_CA_BUNDLE")]
    return [Path(path) for path in (*named, default.openssl_cafile, default.openssl_capath) if path]


def _signature(path: Path) -> Hashable:
    """Return a value that differs once the file has changed."""
    try:
        found = path.stat()
    except OSError:
        return path
    return (path, found.st_ino, found.st_size, found.st_mtime_ns)


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(capath=path) if path.is_dir() else context.load_verify_locations(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise CaFileError(f"CA file {path} cannot be used: {error.strerror or error}") from error
