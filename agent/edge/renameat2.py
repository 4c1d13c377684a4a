"""renameat2(2): two names change places in one step, or a name is taken only where it is free."""

import errno
import os
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_NOREPLACE: Final = 1
_EXCHANGE: Final = 2


def exchange(one: Path, other: Path) -> None:
    """Let two files of one file system change places.

    Raises:
        OSError: ENOSYS or EINVAL where kernel or file system cannot; ENOENT where one is not there.
    """
    _renameat2(one, other, _EXCHANGE)


def rename_new(source: Path, target: Path) -> None:
    """Rename, but never over something.

    Raises:
        OSError: FileExistsError; ENOSYS or EINVAL where kernel or file system cannot.
    """
    _renameat2(source, target, _NOREPLACE)


def _renameat2(source: Path, target: Path, flags: int) -> None:
    import ctypes  # noqa: PLC0415 - only an agent that writes needs it

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(target))
    if libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))
