"""Notices changes in a directory with inotify(7)."""

import contextlib
import ctypes
import os
import select
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _DELETE = 0x8, 0x40, 0x80, 0x200
_ONLYDIR: Final = 0x01000000
# No IN_CREATE: a new file is still empty, and IN_CLOSE_WRITE follows soon.
_EVENTS: Final = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ONLYDIR
_QUIET_S: Final = 0.025
_MAX_WAIT_S: Final = 0.25


class Inotify:
    """A hint about changes, not a guarantee: many file systems send no events (NFS, FUSE), and watches are limited.

    Raises OSError if the limit of instances is reached (`fs.inotify.max_user_instances`).
    """

    def __init__(self) -> None:
        self._libc: Final = ctypes.CDLL(None, use_errno=True)
        self._descriptor: Final = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._poll: Final = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def watch(self, directories: Iterable[Path]) -> None:
        """Watch these directories too. Ignore those that are watched already or do not exist."""
        for directory in directories:
            self._libc.inotify_add_watch(self._descriptor, os.fsencode(directory), _EVENTS)

    def wait(self, seconds: float) -> bool:
        """Return True once something has changed and no further change follows, or False after `seconds`.

        A secret in several files is written one file right after the other, and should be read only once.
        """
        if not self._poll.poll(seconds * 1000):
            return False
        for _ in range(round(_MAX_WAIT_S / _QUIET_S)):
            with contextlib.suppress(BlockingIOError):
                while os.read(self._descriptor, 1 << 16):
                    pass
            if not self._poll.poll(_QUIET_S * 1000):
                break
        return True

    def close(self) -> None:
        os.close(self._descriptor)
