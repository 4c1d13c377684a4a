"""How a person lets the agent write Docker's config.json again: advice by what is on the disk, never more than that.

A command changes at most `~/.docker` itself and the file in it. It is never recursive. Where a link leads elsewhere,
or the directory is not Docker's own under the user's home, the advice is in words: root that follows a user's link
changes what others need.
"""

import errno
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.model.commands import command, shown
from agent.model.sandbox import opening

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the agent runs as."""

    uid: int
    name: str
    home: Path

    @classmethod
    def own(cls) -> "Account":
        uid = os.geteuid()
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(uid, str(uid), Path("/nonexistent"))
        return cls(uid, entry.pw_name, Path(entry.pw_dir))


def permission_hint(path: Path, error: int | None, unit: str | None, account: Account | None = None) -> str | None:
    """What to do about `error` at the config.json `path`; None where the problem's own hint says it. Blocking.

    Args:
        path: where Docker looks for the file, links and all.
        error: the errno.
        unit: the systemd service that the agent runs in, whose sandbox may be in the way.
        account: whose home counts; None: the agent's own user.
    """
    account = account or Account.own()
    directory = Path(os.path.realpath(path)).parent
    if error == errno.EROFS:
        if unit is not None:
            return opening(unit, [directory])
        return f"name another directory in docker.config_dir and DOCKER_CONFIG: {shown(directory)} is mounted read-only"
    if error in _FULL:
        look = command("df -h", directory) if directory.is_dir() else None
        room = f"make room on the file system of {shown(directory)}"
        return f"{room}: {look} shows how full it is" if look else room
    if error in _REFUSED:
        return _permission(path, directory, account)
    return None


def _permission(path: Path, directory: Path, account: Account) -> str:
    who, where = f"user {shown(account.name)}", shown(directory)
    ask = f"or ask the owner of {where} to let {who} write there"
    for place, kind in ((path.parent, "directory"), (path, "file")):
        if place.is_symlink():
            return f"{shown(place)} is a link to another place: replace the link by a {kind} of your own, {ask}"
    if not _is_dockers_own(path.parent, account):
        return f"name a directory of your own in docker.config_dir and DOCKER_CONFIG, {ask}"
    return _take_back(path, account) or f"let {who} write in {where} and in the files there"


def _is_dockers_own(directory: Path, account: Account) -> bool:
    """Whether it is `~/.docker`, a real directory, and no link leads to it from the home on."""
    if directory.name != ".docker" or account.home == Path("/"):
        return False
    try:
        return stat.S_ISDIR(directory.lstat().st_mode) and directory.parent.samefile(account.home)
    except OSError:
        return False


def _take_back(path: Path, account: Account) -> str | None:
    """The command that makes the directory and the file the user's, or lets their owner write; None: neither helps."""
    theirs, closed = [], []
    for place, needed in ((path.parent, 0o700), (path, 0o600)):
        try:
            found = place.lstat()
        except OSError:
            continue
        if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
            return None
        if found.st_uid != account.uid:
            theirs.append(place)
        elif found.st_mode & needed != needed:
            closed.append(place)
    if theirs:
        run = command("sudo chown", account.name, *theirs)
        return run and f"give it to the agent's user: {run}"
    run = command("chmod u+rwX", *closed) if closed else None
    return run and f"let the agent's user write there: {run}"
