"""Finds programs on PATH, but not in directories to which another user could write."""

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SEARCHES: Final = BlockingCalls("programs", limit=16)


async def search(name: str, path: str | None, timeout: float) -> Path | None:
    """Run `find_program` in a thread.

    Raises TimeoutError if a directory of `path` hangs for so long, or NoThreadError.
    """
    return await _SEARCHES.call((name, path), lambda: find_program(name, path), timeout=timeout)


def find_program(name: str, path: str | None) -> Path | None:
    """Return the first executable `name` in those absolute directories of `path` that only user and root can write to.

    Reads the file system, which may hang: call it in a thread.
    """
    for part in (path or DEFAULT_PATH).split(os.pathsep):
        if not part.startswith("/"):
            continue
        directory, candidate = Path(part), Path(part, name)
        if os.access(candidate, os.X_OK) and candidate.is_file() and _is_ours(directory) and _is_ours(candidate):
            # A user who can write to a parent directory, or to one that a link leads to, can replace the program.
            above = {*directory.resolve().parents, *candidate.resolve().parents}
            if all(_is_ours(path, allow_sticky=True) for path in above):
                return candidate
    return None


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
