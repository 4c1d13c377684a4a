"""The lock on a Docker configuration that the agent holds while it runs: two agents never share a configuration."""

import fcntl
import os
import stat
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.edge.snap import make_home

_Identity = tuple[int, int]
_FILE: Final = ".registry-agent.lock"


class ConfigLock:
    """A lock on a file in the configuration directory. The file stays, but the lock ends with the process.

    Only the user can open the file. The directory itself can often be opened by others, who could then hold its lock.
    The file names the agent's socket: of several agents, docker's credential helper must ask the one that holds it.

    If config.json is a link, the directory of the real file is locked too, because another agent may manage it.
    """

    def __init__(self, directory: Path, socket: str = "") -> None:
        self._directory: Final = directory
        self._socket: Final = os.fsencode(socket)
        # Held while a directory is opened, which may hang. Every call is for this one directory, so all would hang.
        self._mutex: Final = threading.Lock()
        self._locked: Final[dict[_Identity, int]] = {}

    def acquire(self) -> bool:
        """Create and lock the directory. Return False if another agent holds the lock. Blocks.

        Return True without a lock if there is no directory to lock. Calling it again keeps the locks that are held.
        """
        with suppress(OSError):
            make_home(self._directory)
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
                real = self._lock_real_directory()
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

    def remove(self) -> None:
        """Remove the files of the locks that are held, which stay held. An agent that starts makes its own. Blocks."""
        with self._mutex, suppress(OSError):
            real = Path(os.path.realpath(self._directory / "config.json")).parent
            for file in {directory / _FILE for directory in (self._directory, real)}:
                if _identity(file) in self._locked:
                    file.unlink()

    def _lock_real_directory(self) -> _Identity | None:
        config = self._directory / "config.json"
        try:
            if not config.is_symlink():
                return None  # its directory is `self._directory`
            real = Path(os.path.realpath(config)).parent
            # The agent leaves nothing in another user's directory.
            return self._lock(real) if real.stat().st_uid == os.geteuid() else None
        except BlockingIOError:
            raise
        except OSError:  # the link cannot be followed
            return None

    def _lock(self, directory: Path) -> _Identity | None:
        """Lock the directory and return the identity of what is locked, or None if nothing can be locked.

        Raises BlockingIOError if another agent holds the lock.
        """
        held = _identity(directory / _FILE)
        if held in self._locked:
            return held
        descriptor = _open(directory)
        if descriptor is None:
            return None
        status = os.fstat(descriptor)
        # Device and inode identify the file, whatever path leads to it.
        found = (status.st_dev, status.st_ino)
        if found in self._locked or not _is_private(status):
            os.close(descriptor)
            return found if found in self._locked else None
        try:
            if stat.S_ISREG(status.st_mode):
                os.fchmod(descriptor, 0o600)  # a recursive chmod may have opened it to others
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISREG(status.st_mode):
                self._name_socket(descriptor)
        except OSError as fault:
            os.close(descriptor)
            if isinstance(fault, BlockingIOError):
                raise
            # Some network file systems have no locks. The agent then works without one.
            return None
        self._locked[found] = descriptor
        return found

    def _name_socket(self, descriptor: int) -> None:
        line, file = self._socket + b"\n" if self._socket else b"", Path(f"/proc/self/fd/{descriptor}")
        # A disk that is full must not cost the lock: without the name, the helper looks in the usual places.
        with suppress(OSError):
            if file.read_bytes() != line:
                file.write_bytes(line)

    def _unlock(self, directories: Iterable[_Identity]) -> None:
        for directory in directories:
            os.close(self._locked.pop(directory))


def _open(directory: Path) -> int | None:
    """Open the file to lock, which is created if missing. If that is not possible, open the directory instead."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError):
        return os.open(directory / _FILE, flags | os.O_CREAT, 0o600)
    with suppress(OSError):
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return None


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _is_private(found: os.stat_result) -> bool:
    """Return whether no other user has put the file there. A directory is only locked if it can hold no file."""
    return stat.S_ISDIR(found.st_mode) or (
        stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
    )
