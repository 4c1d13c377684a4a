"""The agent's lifetime lock on a Docker configuration: two agents never work on one."""

import fcntl
import os
from pathlib import Path
from typing import Final


class ConfigLock:
    """A lock on the configuration directory itself: it needs no file, and ends with the process."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """False while another agent has it. True without a lock where there is nothing yet to be locked; blocking.

        May be called again: what is held is kept.
        """
        if self._descriptor is not None:
            return True
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            return True
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
