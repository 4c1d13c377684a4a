"""The agent's lifetime lock on a Docker configuration: two agents never work on one."""

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final


class ConfigLock:
    """A lock on the configuration directory itself: it needs no file, and ends with the process."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        self._turn: Final = threading.Lock()
        self._descriptor: int | None = None
        self._locked: tuple[int, int] | None = None

    def acquire(self) -> bool:
        """False while another agent has it. True without a lock where there is nothing yet to be locked; blocking.

        May be called again: what is held is kept.
        """
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.hold()

    def hold(self) -> bool:
        """As `acquire`, of the directory that is there now, from any thread.

        Who removed or moved the one that is locked, so that it was made anew, left the new one to the next agent.
        """
        with self._turn:
            try:
                descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                return True
            found = os.fstat(descriptor)
            directory = (found.st_dev, found.st_ino)
            if directory == self._locked:
                os.close(descriptor)
                return True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as fault:
                os.close(descriptor)
                return not isinstance(fault, BlockingIOError)
            self._let_go()
            self._descriptor, self._locked = descriptor, directory
            return True

    def release(self) -> None:
        with self._turn:
            self._let_go()

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = self._locked = None
