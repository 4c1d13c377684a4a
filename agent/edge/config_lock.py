"""The lock on a Docker configuration that the agent holds while it runs: two agents never share a configuration."""

import fcntl
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_Identity = tuple[int, int]


class ConfigLock:
    """A lock on the configuration directory itself. It needs no file and ends with the process.

    If config.json is a link, the directory of the real file is locked too, because another agent may manage it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        # Held while a directory is opened, which may hang. Every call is for this one directory, so all would hang.
        self._mutex: Final = threading.Lock()
        self._locked: Final[dict[_Identity, int]] = {}

    def acquire(self) -> bool:
        """Create and lock the directory. Return False if another agent holds the lock. Blocks.

        Return True without a lock if there is no directory to lock. Calling it again keeps the locks that are held.
        """
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.hold()

    def hold(self) -> bool:
        """Lock the directories that exist now, and return the same as `acquire`. May be called from any thread.

        Call it again and again: if the directory is removed and created again, the new one is not locked yet.
        """
        with self._mutex:
            former = {*self._locked}
            try:
                own = self._lock(self._directory)
                real = self._lock(self._real_directory())
            except BlockingIOError:
                self._unlock({*self._locked} - former)
                return False
            if own is not None:
                self._unlock(former - {own, real})
            return True

    def release(self) -> None:
        """Give up all locks."""
        with self._mutex:
            self._unlock([*self._locked])

    def _real_directory(self) -> Path:
        try:
            return Path(os.path.realpath(self._directory / "config.json")).parent
        except OSError:  # the link cannot be followed
            return self._directory

    def _lock(self, directory: Path) -> _Identity | None:
        """Lock the directory and return its identity, or None if it cannot be locked.

        Raises:
            BlockingIOError: another agent holds the lock.
        """
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        # Device and inode identify the directory, whatever path leads to it.
        status = os.fstat(descriptor)
        found = (status.st_dev, status.st_ino)
        if found in self._locked:
            os.close(descriptor)
            return found
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            os.close(descriptor)
            if isinstance(fault, BlockingIOError):
                raise
            # Some network file systems have no locks. The agent then works without one.
            return None
        self._locked[found] = descriptor
        return found

    def _unlock(self, directories: Iterable[_Identity]) -> None:
        for directory in directories:
            os.close(self._locked.pop(directory))
