"""The kernel's word that something in a directory changed: inotify(7)."""

import contextlib
import ctypes
import os
import select
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _DELETE = 0x8, 0x40, 0x80, 0x200
_ONLYDIR: Final = 0x01000000
# Not its creation: a file that was just made is empty, and whoever writes it closes it soon.
_WANTED: Final = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ONLYDIR
_QUIET_S: Final = 0.025
_NEVER_QUIET_S: Final = 0.25


class Inotify:
    """A hint, no more: many file systems never send one (NFS, FUSE), and there may be no room for one.

    Raises:
        OSError: the machine grants none (`fs.inotify.max_user_instances`).
    """

    def __init__(self) -> None:
        self._libc: Final = ctypes.CDLL(None, use_errno=True)
        self._descriptor: Final = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._poll: Final = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def watch(self, directories: Iterable[Path]) -> None:
        """Also these; one that is watched already costs nothing, one that is not there is passed over."""
        for directory in directories:
            self._libc.inotify_add_watch(self._descriptor, os.fsencode(directory), _WANTED)

    def wait(self, seconds: float) -> bool:
        """True once something changed and it has been quiet for a moment, False when the time is over.

        Who writes a secret in several files writes them one right after the other.
        """
        if not self._poll.poll(seconds * 1000):
            return False
        for _ in range(round(_NEVER_QUIET_S / _QUIET_S)):
            with contextlib.suppress(BlockingIOError):
                while os.read(self._descriptor, 1 << 16):
                    pass
            if not self._poll.poll(_QUIET_S * 1000):
                break
        return True

    def close(self) -> None:
        os.close(self._descriptor)
