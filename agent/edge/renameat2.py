"""renameat2(2): exchanges two files in one step, or renames a file without overwriting another."""

import errno
import os
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_NOREPLACE: Final = 1
_EXCHANGE: Final = 2


def exchange(one: Path, other: Path) -> None:
    """Exchange two files of one file system in one step.

    Raises OSError: ENOSYS or EINVAL if the kernel or file system does not support it, ENOENT if a file is missing.
    """
    _renameat2(one, other, _EXCHANGE)


def rename_new(source: Path, target: Path) -> None:
    """Rename a file, but never overwrite another. Raises FileExistsError, or OSError as `exchange` does."""
    _renameat2(source, target, _NOREPLACE)


def _renameat2(source: Path, target: Path, flags: int) -> None:
    import ctypes  # noqa: PLC0415 - only needed for writing

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(target))
    if libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))
