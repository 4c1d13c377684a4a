"""Whom the agent's own calls trust: the system's authorities, and those that the environment or a caller names."""

import contextlib
import os
import ssl
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Final

_KEPT: Final = 16
_BUNDLE: Final = "SSL_CERT_FILE"


class CaFileError(OSError):
    """A CA file that was asked for cannot be read or holds no certificate; the text names it."""


class CertificateAuthorities:
    """TLS contexts, one for each set of files, as long as these are the same.

    Reading the system's roots costs some 20 ms and half a megabyte each time.
    """

    def __init__(self) -> None:
        self._contexts: Final[dict[Hashable, ssl.SSLContext]] = {}
        self._reading: Final = threading.Lock()

    def context(self, ca_files: tuple[Path, ...]) -> ssl.SSLContext:
        """The context that trusts `ca_files` too; reads from disk: not for the event loop.

        Raises:
            CaFileError: one of `ca_files`.
        """
        return self._kept(tuple(_mark(path) for path in (*_roots(), *ca_files)), lambda: _new_context(ca_files))

    def of_bundle(self, bundle: Path) -> ssl.SSLContext:
        """The context that trusts those in this file and nobody else; reads from disk as well.

        Raises:
            OSError: it cannot be used.
        """
        return self._kept(_mark(bundle), lambda: ssl.create_default_context(cafile=bundle))

    def _kept(self, marks: Hashable, read: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        with self._reading:
            if marks not in self._contexts:
                if len(self._contexts) >= _KEPT:
                    self._contexts.clear()
                self._contexts[marks] = read()
            return self._contexts[marks]


@contextlib.contextmanager
def roots_unread() -> Iterator[None]:
    """Keep an import from reading the system's bundle: aiohttp's own context, which nobody here uses, costs 30 ms."""
    named = os.environ.get(_BUNDLE)
    os.environ[_BUNDLE] = os.devnull
    try:
        yield
    finally:
        if named is None:
            del os.environ[_BUNDLE]
        else:
            os.environ[_BUNDLE] = named


def _new_context(ca_files: Iterable[Path]) -> ssl.SSLContext:
    """The system's roots (or those of `SSL_CERT_FILE`), `AWS_CA_BUNDLE` where it can be read, and `ca_files`."""
    context = ssl.create_default_context()
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle:
        # Where it cannot be read, what it would have vouched for fails by its certificate, and the rest goes on.
        with contextlib.suppress(CaFileError):
            _trust(context, Path(bundle))
    for path in ca_files:
        _trust(context, path)
    return context


def _roots() -> list[Path]:
    """The files that decide whom the system trusts, by environment or by default."""
    default = ssl.get_default_verify_paths()
    named = [os.environ.get(_BUNDLE), os.environ.get("SSL_CERT_DIR"), os.environ.get("AWS_CA_BUNDLE")]
    return [Path(path) for path in (*named, default.openssl_cafile, default.openssl_capath) if path]


def _mark(path: Path) -> Hashable:
    """What changes when the file does."""
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
