"""The certificates that the agent's own calls trust: those of the system, of the environment and of the caller."""

import contextlib
import errno
import os
import ssl
import stat
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls, NoThreadError, OthersHangError
from agent.edge.file_version import signature
from agent.edge.regular_file import NotRegularError

_DEADLINE_S: Final = 5.0
_READS: Final = BlockingCalls("ca-files", limit=32)
_MAX_CACHED: Final = 16
# Variables that name certificates to trust. The AWS SDK passes on the file of the last one.
_VARIABLES: Final = ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_BUNDLE: Final = "SSL_CERT_FILE"


class CaFileError(OSError):
    """A requested CA file cannot be read or contains no certificate. The text names the file."""


class CertificateAuthorities:
    """Caches one TLS context for each set of files, until the files change.

    Reading the system's roots costs about 20 ms and half a megabyte each time.
    """

    def __init__(self) -> None:
        self._contexts: Final[dict[Hashable, tuple[ssl.SSLContext, str]]] = {}
        self._reading: Final[dict[tuple[Path, ...], Path]] = {}
        self.unusable = ""
        """Which variable names a file that cannot be used, and why. Only servers that need this file fail."""

    async def context(self, ca_files: tuple[Path, ...]) -> ssl.SSLContext:
        """Return a context that also trusts `ca_files`.

        Raises CaFileError if a file cannot be used or does not answer.
        """
        try:
            return await _READS.call(ca_files, lambda: self._context(ca_files), timeout=_DEADLINE_S)
        except (NoThreadError, OthersHangError) as error:
            raise CaFileError(f"the CA files cannot be read: {error.strerror}") from None
        except TimeoutError:
            path = self._reading.get(ca_files, "")
            raise CaFileError(f"CA file {path} cannot be read: its file system does not answer") from None

    def _context(self, ca_files: tuple[Path, ...]) -> ssl.SSLContext:
        """Read the files, and note which one is being read: if one hangs, the message must name it."""

        def noted(path: Path) -> Path:
            self._reading[ca_files] = path
            return path

        roots = _roots()
        key = tuple((path, signature(noted(path))) for path in (*roots, *ca_files))
        # No lock: while a file hangs, the others must be read. Two threads may then read the same files.
        found = self._contexts.get(key)
        if found is None:
            noted(roots[0])
            found = _new_context(map(noted, _bundles()), map(noted, ca_files))
        # Files change rarely: it is enough to start over when the cache is full.
        if len(self._contexts) >= _MAX_CACHED:
            self._contexts.clear()
        self._contexts[key] = found
        self._reading.pop(ca_files)
        context, self.unusable = found
        return context


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


def _new_context(optional: Iterable[Path], required: Iterable[Path]) -> tuple[ssl.SSLContext, str]:
    """Trust the system's roots (or `SSL_CERT_FILE`), the `optional` files that can be read, and all `required` ones.

    Also returns which optional file cannot be used. OpenSSL ignores that silently, as Go does.
    """
    context, unusable = ssl.create_default_context(), ""
    for path in optional:
        # If it cannot be read, only the servers that need it fail, with a certificate error.
        try:
            _trust(context, path)
        except CaFileError as error:
            unusable = str(error)
    for path in required:
        _trust(context, path)
    return context, unusable


def _bundles() -> list[Path]:
    return [Path(path) for name in (_BUNDLE, "AWS_CA_BUNDLE") if (path := os.environ.get(name))]


def _roots() -> list[Path]:
    """Return the files that decide what the system trusts, from the environment and the defaults."""
    default = ssl.get_default_verify_paths()
    named = [os.environ.get(_BUNDLE), os.environ.get("SSL_CERT_DIR"), os.environ.get("AWS_CA_BUNDLE")]
    return [Path(path) for path in (*named, default.openssl_cafile, default.openssl_capath) if path]


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            # Docker ignores a directory in this variable. SSL_CERT_DIR is the one for directories.
            if str(path) == os.environ.get(_BUNDLE):
                raise IsADirectoryError(errno.EISDIR, "it is a directory, not a file")
            context.load_verify_locations(capath=path)
        elif stat.S_ISREG(mode):
            context.load_verify_locations(cafile=path)
        else:  # opening a FIFO would wait for its writer
            raise NotRegularError(mode)
    except OSError as error:  # ssl.SSLError is one
        variable = next((name for name in _VARIABLES if os.environ.get(name) == str(path)), None)
        named = f"CA file {path}" if variable is None else f"{variable} names the CA file {path}, which"
        raise CaFileError(f"{named} cannot be used: {error.strerror or error}") from error
