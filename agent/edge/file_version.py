"""Reads a regular file with its mode and owner, and detects changes of a file."""

import os
import stat
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.edge.regular_file import NotRegularError, open_regular

SIZE_LIMIT: Final = 16 * 1024 * 1024


class UnreadableFileError(ValueError):
    """The path is a directory or a pipe, or the file is larger than 16 MiB. The text names which one."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A regular file's content, permission bits and owner at one moment."""

    data: bytes
    mode: int
    uid: int
    gid: int


def read_version(path: Path) -> FileVersion | None:
    """Read the regular file `path`, or return None if it does not exist. A pipe does not block it.

    Raises UnreadableFileError or OSError.
    """
    try:
        with open_regular(path) as file:
            return version_of(file.fileno(), file.read(SIZE_LIMIT + 1))
    except FileNotFoundError:
        return None
    except NotRegularError as error:
        raise _irregular(error) from error


def signature(path: Path) -> Hashable:
    """Return a value that differs whenever the file, or a link on the way to it, has changed."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def version_of(descriptor: int, data: bytes) -> FileVersion:
    """Return the version of an open file. `data` is its content, at most one byte more than 16 MiB.

    Raises UnreadableFileError or OSError.
    """
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise _irregular(NotRegularError(found.st_mode))
    if len(data) > SIZE_LIMIT:
        raise UnreadableFileError("it is larger than 16 MiB")
    return FileVersion(data, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def _irregular(error: NotRegularError) -> UnreadableFileError:
    return UnreadableFileError(f"it is {error.kind}, not a regular file")
