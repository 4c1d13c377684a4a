"""The agent's lifetime lock on a Docker configuration: two agents never work on one."""

import fcntl
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_Identity = tuple[int, int]


class ConfigLock:
    """A lock on the configuration directory itself: it needs no file, and ends with the process.

    Where config.json is a link, the directory of the real file is locked too: it may be another agent's own.
    """

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        self._turn: Final = threading.Lock()
        self._held: Final[dict[_Identity, int]] = {}

    def acquire(self) -> bool:
        """False while another agent has it. True without a lock where there is nothing yet to be locked; blocking.

        May be called again: what is held is kept.
        """
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.hold()

    def hold(self) -> bool:
        """As `acquire`, of the directories that are there now, from any thread.

        Who removed or moved one that is locked, so that it was made anew, left the new one to the next agent.
        """
        with self._turn:
            former = {*self._held}
            try:
                own = self._lock(self._directory)
                real = self._lock(self._real_directory())
            except BlockingIOError:
                self._let_go({*self._held} - former)
                return False
            if own is not None:
                self._let_go(former - {own, real})
            return True

    def release(self) -> None:
        with self._turn:
            self._let_go([*self._held])

    def _real_directory(self) -> Path:
        try:
            return Path(os.path.realpath(self._directory / "config.json")).parent
        except OSError:  # a link that may not be followed
            return self._directory

    def _lock(self, directory: Path) -> _Identity | None:
        """Which one it is; None where it cannot be locked.

        Raises:
            BlockingIOError: another agent has it.
        """
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        status = os.fstat(descriptor)
        found = (status.st_dev, status.st_ino)
        if found in self._held:
            os.close(descriptor)
            return found
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            os.close(descriptor)
            if isinstance(fault, BlockingIOError):
                raise
            return None
        self._held[found] = descriptor
        return found

    def _let_go(self, directories: Iterable[_Identity]) -> None:
        for directory in directories:
            os.close(self._held.pop(directory))
