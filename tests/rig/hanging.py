"""A directory whose file system does not answer: a FUSE mount that nobody serves. It needs root."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DETACH = 2


class HangingDirectory:
    """Any access below `path` hangs until `release`, and fails after it, like a dead NFS server that is unmounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._server},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if self._libc.mount(b"hanging", os.fsencode(path), b"fuse", 0, options):
            os.close(self._server)
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))

    def release(self) -> None:
        """End all accesses that hang, and unmount. May be called twice."""
        if self._server >= 0:
            self._libc.umount2(os.fsencode(self.path), _DETACH)
            os.close(self._server)
            self._server = -1


@contextmanager
def hanging_directory(path: Path) -> Iterator[HangingDirectory]:
    path.mkdir()
    directory = HangingDirectory(path)
    try:
        yield directory
    finally:
        directory.release()
