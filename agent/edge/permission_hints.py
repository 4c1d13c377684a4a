"""What prevents reading or writing Docker's config.json, and hints for it, based on what is on the disk.

A command changes at most `~/.docker` itself and the file in it. It is never recursive. If a link leads elsewhere, or
the directory is not `~/.docker` in the user's home, the hint uses words instead of a command: a `chown` as root that
follows a user's link could change files that other users need.
"""

import array
import errno
import fcntl
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.edge.mount_point import is_mount_point
from agent.edge.regular_file import EMPTY_MOUNT
from agent.model.commands import command, shown
from agent.model.sandbox import opening

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_TOO_MANY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
_REASONS: Final = {
    errno.EROFS: "the file system is read-only",
    errno.EDQUOT: "the disk quota is used up",
    errno.ELOOP: "its symbolic links form a loop",
}
# From linux/fs.h. chattr and lsattr use the same request.
_GET_FLAGS: Final = 0x80086601
_IMMUTABLE: Final = 0x10


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


def write_fault(path: Path, error: OSError, temporary_prefix: str) -> str:
    """Return why the config.json `path` cannot be written. Blocks.

    The name of a temporary file means nothing to the user, so the text names its directory.
    """
    if error.errno in _REFUSED:
        place = Path(str(error.filename))
        place = place.parent if place.name.startswith(temporary_prefix) else place
        return f"{(error.strerror or 'permission denied').lower()} (for user {os.geteuid()}): {place}"
    if error.errno == errno.ENOSPC:
        return "the disk has no free inodes" if no_inodes(_written_place(path)) else "the disk is full"
    if error.errno == errno.ENOENT and (_broken_link(path) or any(map(leads_nowhere, path.parents))):
        return "the directory that its link points to does not exist"
    return _REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()


def no_inodes(directory: Path) -> bool:
    """Return whether no more files can be created on the file system, whatever space is left. Blocks."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    # Some file systems report 0 in total because they have no fixed limit.
    return found.f_files > 0 and (found.f_ffree if os.geteuid() == 0 else found.f_favail) == 0


def replacement_hint(path: Path, account: Account | None = None) -> str | None:
    """Return what to do about a config.json that is not a regular file, or None if it is one. Blocks.

    `account` is by default the agent's own user.
    """
    if path.is_file():
        return None
    where = shown(path)
    if is_mount_point(path):
        return f"mount a regular file at {where}, and restart the container: {EMPTY_MOUNT}"
    if path.is_symlink():
        return f"remove the link{_removal('rm', path)}"
    if not path.is_dir():
        return f"move {where} away: Docker needs a regular file there"
    if not _is_empty(path):
        return f"move the directory {where} away: Docker needs a file there"
    # `docker run -v` makes it and its directory as root. As root, too, `rmdir` removes nothing of value.
    is_roots = not _is_writable(path.parent) and _is_dockers_own(path.parent, account or Account.own())
    removal = _run("sudo rmdir", path) if is_roots else _removal("rmdir", path)
    return f"remove the empty directory{removal}; {EMPTY_MOUNT}"


def permission_hint(path: Path, error: int | None, unit: str | None, account: Account | None = None) -> str | None:
    """Return what to do about `error` at the config.json `path`, or None if the problem's default hint fits. Blocks.

    `path` is where Docker looks for the file, before links are resolved. `error` is the errno. `unit` is the systemd
    service that the agent runs in, whose sandbox may prevent writes. `account` is by default the agent's own user.
    """
    account = account or Account.own()
    directory, written = _directory(path), _written_place(path)
    if error == errno.EROFS:
        if unit is not None:
            return opening(unit, [written])
        return f"set docker.config_dir and DOCKER_CONFIG to another directory: {shown(written)} is mounted read-only"
    if error in _FULL:
        return _full(written)
    if error in _REFUSED:
        return _permission(path, directory, account)
    if error in _TOO_MANY:
        return "raise the limit on open files and processes of the agent's user, and restart the agent"
    return _other(path, directory, error) if error else None


def _other(path: Path, directory: Path, error: int) -> str:
    link = _broken_link(path) if error in (errno.ENOENT, errno.ELOOP) else None
    if link is not None:
        create = f", or create {shown(directory)}" if error == errno.ENOENT else ""
        return f"remove the link{_removal('rm', link)}{create}"
    if error == errno.ENOTDIR and path.parent.is_file():
        return f"move the file {shown(path.parent)} away: Docker needs a directory there"
    return f"check {shown(directory)} and its file system: the message shows what is wrong there"


def _full(place: Path) -> str:
    program, advice, shows = "df -h", "free up space on", "how full it is"
    if no_inodes(place):
        program, advice, shows = "df -i", "remove files that are not needed from", "how many it has"
    usage = command(program, place) if os.access(place, os.F_OK) else None
    return f"{advice} the file system of {shown(place)}" + (f": {usage} shows {shows}" if usage else "")


def _directory(path: Path) -> Path:
    return Path(os.path.realpath(path)).parent


def _written_place(path: Path) -> Path:
    """Return the directory of the new file, or the file itself if it is a mount, which is written in place."""
    target = Path(os.path.realpath(path))
    return target if is_mount_point(target) else target.parent


def _is_empty(directory: Path) -> bool:
    try:
        return not any(directory.iterdir())
    except OSError:
        return False


def _broken_link(path: Path) -> Path | None:
    """Return the directory of `path`, or `path`, if it is a link that leads nowhere or to itself."""
    if path.parent.is_symlink() and not path.parent.is_dir():
        return path.parent
    # `realpath` leaves a link that leads to itself.
    if path.is_symlink() and not (_directory(path).is_dir() and not Path(os.path.realpath(path)).is_symlink()):
        return path
    return None


def leads_nowhere(place: Path) -> bool:
    """Return whether the path is a link to something that does not exist. Blocks."""
    return place.is_symlink() and not place.exists()


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def _removal(program: str, path: Path) -> str:
    """Return the end of "remove the link" like `_run`, but with a command only if it works for the agent's user."""
    if _is_writable(path.parent):
        return _run(program, path)
    return f" {shown(path)} (only root and the owner of {shown(path.parent)} can do this)"


def _run(program: str, path: Path) -> str:
    """Return the end of "remove the link": the command, or the path if no command can be shown."""
    run = command(program, path)
    return f": {run}" if run else f" {shown(path)}"


def _permission(path: Path, directory: Path, account: Account) -> str:
    user, where = f"user {shown(account.name)}", shown(directory)
    ask = f"or ask the owner of {where} to let {user} write there"
    for place, kind in ((path.parent, "directory"), (path, "file")):
        if os.path.islink(place):  # noqa: PTH114 - unlike pathlib, it never raises
            return f"replace {shown(place)}, which is a link, with a {kind} of your own, {ask}"
    if not _is_dockers_own(path.parent, account):
        return f"set docker.config_dir and DOCKER_CONFIG to a directory of your own, {ask}"
    return _unlock(path) or _take_back(path, account) or f"let {user} write to {where} and to the files in it"


def _is_dockers_own(directory: Path, account: Account) -> bool:
    """Return whether `directory` is `~/.docker`, a real directory, and reached from the home without a link."""
    if directory.name != ".docker" or account.home == Path("/"):
        return False
    try:
        return stat.S_ISDIR(directory.lstat().st_mode) and directory.parent.samefile(account.home)
    except OSError:
        return False


def _unlock(path: Path) -> str | None:
    """Return the command that lets an immutable directory and file change again, or None if they are not immutable."""
    immutable = [place for place in (path.parent, path) if is_immutable(place)]
    run = command("sudo chattr -i", *immutable) if immutable else None
    return run and f"remove the immutable flag, which prevents every change: {run}"


def is_immutable(place: Path) -> bool:
    """Return whether a flag (`chattr +i`) prevents every change of the file or directory. Blocks."""
    flags = array.array("l", [0])
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _GET_FLAGS, flags)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return bool(flags[0] & _IMMUTABLE)


def _take_back(path: Path, account: Account) -> str | None:
    """Return the command that makes directory and file writable, or None if none helps.

    The command gives them to the user, or adds the missing permissions if they already belong to the user.
    A file in a directory of another user that hides it counts too: `sudo docker login` made both.
    """
    foreign: list[Path] = []
    closed: list[Path] = []
    for place, needed in ((path.parent, 0o700), (path, 0o600)):
        try:
            found = place.lstat()
        except OSError as error:
            if foreign and isinstance(error, PermissionError):
                foreign.append(place)
            continue
        if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
            return None
        if found.st_uid != account.uid:
            foreign.append(place)
        elif found.st_mode & needed != needed:
            closed.append(place)
    if foreign:
        # Not through links, which could replace these since. With the user's group, because the group may be root's.
        run = command("sudo chown --no-dereference", f"{account.name}:", *foreign)
        return run and f"make the agent's user the owner: {run}"
    run = command("chmod u+rwX", *closed) if closed else None
    return run and f"let the agent's user write there: {run}"
