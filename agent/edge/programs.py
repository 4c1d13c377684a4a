"""Where a program is: PATH, without the directories in which somebody else could have put it."""

import asyncio
import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from agent.edge.threads import WorkerThreads

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# One search at a time: where a directory of PATH hangs, each would keep a thread for good.
_SEARCHING: Final = WorkerThreads(1, "programs")


async def search(name: str, path: str | None, timeout: float) -> Path | None:
    """`find_program`, in a thread.

    Raises:
        TimeoutError: a directory of `path` hangs for longer than `timeout` seconds.
    """
    async with asyncio.timeout(timeout):
        return await asyncio.get_running_loop().run_in_executor(_SEARCHING, find_program, name, path)


def find_program(name: str, path: str | None) -> Path | None:
    """The first executable `name` in the absolute directories of `path` that only the user and root can write to.

    Reads the file system: call it in a thread where that may hang.
    """
    for part in (path or DEFAULT_PATH).split(os.pathsep):
        if not part.startswith("/"):
            continue
        directory, candidate = Path(part), Path(part, name)
        if os.access(candidate, os.X_OK) and candidate.is_file() and _is_ours(directory) and _is_ours(candidate):
            # Who can write to a directory above, or to one that a link leads to, can put another in its place.
            above = {*directory.resolve().parents, *candidate.resolve().parents}
            if all(_is_ours(path, sticky_will_do=True) for path in above):
                return candidate
    return None


def _is_ours(path: Path, *, sticky_will_do: bool = False) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_uid not in (0, os.geteuid()):
        return False
    if sticky_will_do and found.st_mode & stat.S_ISVTX:
        return True
    if found.st_mode & stat.S_IWOTH:
        return False
    return not found.st_mode & stat.S_IWGRP or _group_is_ours(found.st_gid)


def _group_is_ours(gid: int) -> bool:
    """Whether nobody but root and the user is in the group (Debian's /usr/local is writable to an empty `staff`)."""
    ours = {0, os.geteuid()}
    try:
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem}
    except KeyError:
        return False
    return members <= ours and all(entry.pw_uid in ours for entry in pwd.getpwall() if entry.pw_gid == gid)
