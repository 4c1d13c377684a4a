"""Finds programs on PATH, but not in directories to which another user could write."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.model.rejected_program import RejectedProgram

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EXECUTABLE: Final = 0o111
_SEARCHES: Final = BlockingCalls("programs", limit=16)


async def search(name: str, path: str | None, timeout: float) -> Path | None:
    """Run `find_program` in a thread.

    Raises TimeoutError if a directory of `path` hangs for so long, or NoThreadError.
    """
    return await _SEARCHES.call((name, path), lambda: find_program(name, path), timeout=timeout)


async def search_rejected(name: str, path: str | None, timeout: float) -> RejectedProgram | None:
    """Run `rejected_program` in a thread. Raises the same as `search`."""
    return await _SEARCHES.call((name, path), lambda: rejected_program(name, path), timeout=timeout)


def find_program(name: str, path: str | None) -> Path | None:
    """Return the first executable `name` in those absolute directories of `path` that only user and root can write to.

    Reads the file system, which may hang: call it in a thread.
    """
    executable = (each for each in _candidates(name, path) if os.access(each, os.X_OK) and each.is_file())
    return next((each for each in executable if _writable(each) is None), None)


def rejected_program(name: str, path: str | None) -> RejectedProgram | None:
    """Return the first `name` in those directories, and why `find_program` passes it over. None if there is none."""
    for candidate in _candidates(name, path):
        if candidate.is_file():
            writable = _writable(candidate)
            if writable is not None or not os.access(candidate, os.X_OK):
                return RejectedProgram(candidate, writable, _chmod(candidate))
    return None


def _chmod(program: Path) -> str | None:
    """Return the command that lets this user execute `program`, or None if its mode already does."""
    found = program.stat()
    if found.st_mode & _EXECUTABLE == _EXECUTABLE:
        return None
    # A file of another user is root's: `_writable` accepts no other.
    return "chmod +x" if os.geteuid() in (0, found.st_uid) else "sudo chmod a+x"


def _candidates(name: str, path: str | None) -> Iterator[Path]:
    return (Path(part, name) for part in (path or DEFAULT_PATH).split(os.pathsep) if part.startswith("/"))


def _writable(program: Path) -> Path | None:
    """Return a place at which another user could have changed or replaced the program, or None."""
    own = next((place for place in (program.parent, program) if not _is_ours(place)), None)
    if own is not None:
        return own
    # A user who can write to a parent directory, or to one that a link leads to, can replace the program.
    above = {*program.parent.resolve().parents, *program.resolve().parents}
    return next((place for place in above if not _is_ours(place, allow_sticky=True)), None)


def _is_ours(path: Path, *, allow_sticky: bool = False) -> bool:
    """Return whether only this user and root can write to `path`.

    In a sticky directory such as /tmp, other users cannot replace an entry of ours, so `allow_sticky` accepts it.
    """
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_uid not in (0, os.geteuid()):
        return False
    if allow_sticky and found.st_mode & stat.S_ISVTX:
        return True
    if found.st_mode & stat.S_IWOTH:
        return False
    return not found.st_mode & stat.S_IWGRP or _group_is_ours(found.st_gid)


def _group_is_ours(gid: int) -> bool:
    """Return whether only root and the user are in the group. On Debian, an empty `staff` can write to /usr/local."""
    ours = {0, os.geteuid()}
    try:
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem}
    except KeyError:
        return False
    return members <= ours and all(entry.pw_uid in ours for entry in pwd.getpwall() if entry.pw_gid == gid)
