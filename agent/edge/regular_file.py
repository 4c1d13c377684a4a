"""The one way to read a file of unknown kind: only a regular one, only so many bytes, and without waiting."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

EMPTY_MOUNT: Final = "Docker creates an empty directory if the source of a mount does not exist"
_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """The path is a directory, a pipe or a device. `kind` is which one."""

    def __init__(self, mode: int) -> None:
        super().__init__(errno.EINVAL, "not a regular file")
        self.kind = _KINDS.get(stat.S_IFMT(mode), "something else")


def read_regular(path: Path, limit: int) -> bytes:
    """Return at most `limit` bytes of the file. Blocks like the file system, but never for the writer of a FIFO.

    Raises OSError if the file cannot be read: NotRegularError if it is not a regular file.
    """
    with open_regular(path) as file:
        return file.read(limit)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file, or a link to one, for reading. Raises the same errors as `read_regular`."""
    # Check the type before opening: opening a device can have side effects.
    _check(path.stat().st_mode)
    # O_NONBLOCK: a FIFO could replace the file after the check, and opening it would wait for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        _check(os.fstat(file.fileno()).st_mode)
        yield file


def is_ours(found: os.stat_result) -> bool:
    """Return whether only this user and root can change the file, apart from its group."""
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & stat.S_IWOTH


def _check(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotRegularError(mode)
