"""Finds out whether `replace_version` could write a file, without writing to its disk."""

import errno
import os
from pathlib import Path
from typing import Final

from agent.edge.atomic_file import owner_not_kept
from agent.edge.mount_point import is_mount_point
from agent.edge.permission_hints import is_immutable, leads_nowhere, no_inodes

_EXTRA_BLOCKS: Final = 2
"""Free blocks that a new file needs in addition to its size: for one more login and the directory entry."""
_LOGIN_BYTES: Final = 3 << 10
"""How much a file that is written in place may grow. A login of ECR is the longest."""


def check_writable(path: Path) -> None:
    """Raise the OSError that a write to the config.json `path` would meet. It does not see a quota. Blocking."""
    # If config.json is a symbolic link, the agent replaces the file that it points to.
    target = Path(os.path.realpath(path))
    exists = os.access(target, os.F_OK)
    if exists and is_mount_point(target):
        # A rename cannot replace it, so it is written in place, and its directory does not matter.
        _check_place(target, os.W_OK)
        found = target.stat()
        _check_space(target, _LOGIN_BYTES - (found.st_blocks * 512 - found.st_size))
        return
    if not os.access(target.parent, os.F_OK) and any(map(leads_nowhere, (path, *path.parents))):
        raise _error(errno.ENOENT, target)  # the agent does not create what a link leads to
    # Missing directories will be created in the first one that exists.
    directory = next(above for above in target.parents if os.access(above, os.F_OK))
    _check_place(directory, os.W_OK | os.X_OK)
    if no_inodes(directory):
        raise _error(errno.ENOSPC, directory)
    if exists:
        _check_replaceable(target)
    size = target.stat().st_size if exists else 0
    _check_space(directory, size + _EXTRA_BLOCKS * os.statvfs(directory).f_frsize)


def _check_place(place: Path, access: int) -> None:
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        raise _error(errno.EROFS, place)
    if is_immutable(place):
        raise _error(errno.EPERM, place)
    if not os.access(place, access):
        raise _error(errno.EACCES, place)


def _check_replaceable(path: Path) -> None:
    """The new file must get the owner of the former one. Only root may give files away."""
    found = path.stat()
    if os.geteuid() not in (0, found.st_uid):
        raise owner_not_kept(path, found.st_uid, found.st_gid)
    if is_immutable(path):
        raise _error(errno.EPERM, path)


def _check_space(place: Path, needed: int) -> None:
    file_system = os.statvfs(place)
    # Root may also use the reserved blocks.
    free = file_system.f_bfree if os.geteuid() == 0 else file_system.f_bavail
    # Some file systems report 0 blocks in total because they have no fixed limit.
    if file_system.f_blocks and free * file_system.f_frsize < needed:
        raise _error(errno.ENOSPC, place)


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
