"""Hints for making Docker's config.json writable again, based on what is on the disk.

A command changes at most `~/.docker` itself and the file in it. It is never recursive. If a link leads elsewhere, or
the directory is not `~/.docker` in the user's home, the hint uses words instead of a command: a `chown` as root that
follows a user's link could change files that other users need.
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
_TOO_MANY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the agent runs as."""

    uid: int
    name: str
    home: Path

    @classmethod
    def own(cls) -> "Account":
        """Return the account of this process."""
        uid = os.geteuid()
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(uid, str(uid), Path("/nonexistent"))
        return cls(uid, entry.pw_name, Path(entry.pw_dir))


def permission_hint(path: Path, error: int | None, unit: str | None, account: Account | None = None) -> str | None:
    """Return what to do about `error` at the config.json `path`, or None if the problem's default hint fits. Blocks.

    `path` is where Docker looks for the file, before links are resolved. `error` is the errno. `unit` is the systemd
    service that the agent runs in, whose sandbox may prevent writes. `account` is by default the agent's own user.
    """
    account = account or Account.own()
    directory = Path(os.path.realpath(path)).parent
    if error == errno.EROFS:
        if unit is not None:
            return opening(unit, [directory])
        return f"set docker.config_dir and DOCKER_CONFIG to another directory: {shown(directory)} is mounted read-only"
    if error in _FULL:
        usage = command("df -h", directory) if os.access(directory, os.F_OK) else None
        advice = f"free up space on the file system of {shown(directory)}"
        return f"{advice}: {usage} shows how full it is" if usage else advice
    if error in _REFUSED:
        return _permission(path, directory, account)
    if error in _TOO_MANY:
        return "raise the limit on open files and processes of the agent's user, and restart the agent"
    return _other(path, directory, error) if error else None


def _other(path: Path, directory: Path, error: int) -> str:
    if error == errno.ENOENT and os.path.islink(path):  # noqa: PTH114 - unlike pathlib, it never raises
        remove = command("rm", path)
        return f"remove the link{f': {remove}' if remove else f' {shown(path)}'}, or create {shown(directory)}"
    return f"check {shown(directory)} and its file system: the message shows what is wrong there"


def _permission(path: Path, directory: Path, account: Account) -> str:
    user, where = f"user {shown(account.name)}", shown(directory)
    ask = f"or ask the owner of {where} to let {user} write there"
    for place, kind in ((path.parent, "directory"), (path, "file")):
        if os.path.islink(place):  # noqa: PTH114 - unlike pathlib, it never raises
            return f"replace {shown(place)}, which is a link, with a {kind} of your own, {ask}"
    if not _is_dockers_own(path.parent, account):
        return f"set docker.config_dir and DOCKER_CONFIG to a directory of your own, {ask}"
    return _take_back(path, account) or f"let {user} write to {where} and to the files in it"


def _is_dockers_own(directory: Path, account: Account) -> bool:
    """Return whether `directory` is `~/.docker`, a real directory, and reached from the home without a link."""
    if directory.name != ".docker" or account.home == Path("/"):
        return False
    try:
        return stat.S_ISDIR(directory.lstat().st_mode) and directory.parent.samefile(account.home)
    except OSError:
        return False


def _take_back(path: Path, account: Account) -> str | None:
    """Return the command that makes directory and file writable, or None if none helps.

    The command gives them to the user, or adds the missing permissions if they already belong to the user.
    """
    foreign, closed = [], []
    for place, needed in ((path.parent, 0o700), (path, 0o600)):
        try:
            found = place.lstat()
        except OSError:
            continue
        if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
            return None
        if found.st_uid != account.uid:
            foreign.append(place)
        elif found.st_mode & needed != needed:
            closed.append(place)
    if foreign:
        run = command("sudo chown", account.name, *foreign)
        return run and f"make the agent's user the owner: {run}"
    run = command("chmod u+rwX", *closed) if closed else None
    return run and f"let the agent's user write there: {run}"
