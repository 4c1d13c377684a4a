"""What is in a regular file at one moment, and whether it has changed since."""

import os
import stat
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SIZE_LIMIT: Final = 16 * 1024 * 1024


class UnreadableFileError(ValueError):
    """What is there cannot be such a file: a directory, a pipe, or larger than 16 MiB; the text says which."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A regular file's content, permission bits and owner at one moment."""

    data: bytes
    mode: int
    uid: int
    gid: int


def read_version(path: Path) -> FileVersion | None:
    """What is in the regular file `path` now, None where there is none. A pipe does not hang it.

    Raises:
        UnreadableFileError, OSError.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFileError("it is not a regular file")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(SIZE_LIMIT + 1)
        return version_of(descriptor, data)


def signature(path: Path) -> Hashable:
    """Changes whenever the file does, or a link on the way to it."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def version_of(descriptor: int, data: bytes) -> FileVersion:
    """`data` was read from the open file, at most one byte more than 16 MiB of it.

    Raises:
        UnreadableFileError, OSError.
    """
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableFileError("it is not a regular file")
    if len(data) > SIZE_LIMIT:
        raise UnreadableFileError("it is larger than 16 MiB")
    return FileVersion(data, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
