"""Private directories in which logins run. Each one is held by a lock while it is in use."""

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX: Final = "logins-"
_LEFTOVERS: Final = "logins*"
"""Version 1.0.0 runs logins in the directory `logins`."""
_ATTEMPTS: Final = 8


class PrivateDirectory:
    """A new directory that only this user can enter. Nothing cleans it up until it is removed or its process ends."""

    def __init__(self, runtime: Path) -> None:
        """Make the directory in `runtime`, which is created if missing. Blocks.

        Raises OSError if `runtime` is not writable.
        """
        make_runtime_directory(runtime)
        self.path, self._lock = _make(runtime)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _make(runtime: Path) -> tuple[Path, int]:
    for _ in range(_ATTEMPTS):
        # mkdtemp creates a directory with mode 0700 and a random name.
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=runtime))
        held = _hold(directory)
        if held is not None:
            return directory, held
    raise FileNotFoundError("another program keeps removing the directories for logins")


def make_runtime_directory(runtime: Path) -> None:
    """Make the runtime directory if it is missing. Others may enter it, because the status socket has its own mode."""
    with contextlib.suppress(FileExistsError):
        runtime.mkdir(parents=True)
        runtime.chmod(0o755)  # not limited by the umask


def remove_abandoned(runtime: Path) -> None:
    """Remove the directories of processes that were killed. Kill their running logins: they would write again. Blocks.

    A directory that a process holds stays, whichever process it is: another agent, `run --once` or the doctor.
    """
    for directory in filter(_is_ours, runtime.glob(_LEFTOVERS)):
        held = _hold(directory)
        if held is None:
            continue
        for pid in _running_in(directory):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


def _hold(directory: Path) -> int | None:
    """Lock the directory, and return the descriptor that keeps the lock. None if it is in use or has just gone."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    # Another start may have removed the directory before the lock was taken.
    if _lock(descriptor) and _is_still(directory, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # The file system has no locks. It is better to remove too much than to leave a password there.
        return True
    return True


def _is_still(directory: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(directory.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _is_ours(place: Path) -> bool:
    """Return whether it is a real directory that only this user can write to. The runtime directory may be /tmp."""
    try:
        found = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _running_in(directory: Path) -> Iterator[int]:
    """Return the processes with a path in `directory` among their arguments, or as podman's file for logins.

    These are always logins of the agent. podman gets the path only in a variable, which the process that keeps podman's
    user namespace inherits. Containers of the user need that one, so it must not end.
    """
    path = os.fsencode(directory)
    prefixes = (path + b"/", b"REGISTRY_AUTH_FILE=" + path + b"/")
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            arguments = _words(process / "cmdline")
            variables = _words(process / "environ") if b"login" in arguments else []
            if any(word == path or word.startswith(prefixes) for word in (*arguments, *variables)):
                yield int(process.name)


def _words(file: Path) -> list[bytes]:
    """Return the words in a file of /proc. Empty if it belongs to another user, or if the process has ended."""
    with contextlib.suppress(OSError):
        return file.read_bytes().split(b"\0")
    return []
