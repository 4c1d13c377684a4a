"""Replaces a file that other programs also write: completely or not at all, and without losing their changes."""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.edge.file_version import FileVersion, UnreadableFileError, read_version, version_of
from agent.edge.mount_point import is_mount_point
from agent.edge.renameat2 import exchange, rename_new

TEMPORARY_PREFIX: Final = ".config.json.registry-agent-"
_ATTEMPTS: Final = 64
_ACCESS_LIST: Final = "system.posix_acl_access"
_NO_RENAMEAT2: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


class FileChanged(Exception):  # noqa: N818 - it states a fact, and the caller tries again
    """Another program wrote the file in the meantime. Its version is in place and ours is not: read again."""


def replace_version(path: Path, former: FileVersion | None, data: bytes, *, sync_after: bool = False) -> None:
    """Replace `former`, which was read from `path`, with `data`. None means that there was no file.

    `path` must not be a link. Owner, mode and access lists stay the same; only a group that the user may not give to a
    file becomes the user's own. A bind-mounted file cannot be replaced by a rename, so it is written in place.

    Normally the data is synced to disk before the rename, which is safer against a power failure. With `sync_after`
    it is synced after the rename. That is faster, and wins the race against a program that keeps writing the file.

    Raises:
        FileChanged: `path` was no longer `former`.
        OSError: the write failed, and nothing has changed.
    """
    if former is not None and is_mount_point(path):
        _write_in_place(path, former, data)
        return
    _remove_emptied(path.parent)
    temporary = _write_temporary(path, former, data, sync=not sync_after)
    try:
        if former is None:
            _publish_new(temporary, path)
        else:
            _publish(temporary, path, former)
    finally:
        _discard(temporary)
    if sync_after:
        _sync(path)
    _sync(path.parent)


def owner_not_kept(path: Path, uid: int, gid: int) -> OSError:
    """Return the error of a write to a file that belongs to another user."""
    reason = f"it belongs to user {uid}, group {gid}, and that owner could not be kept"
    return PermissionError(errno.EPERM, reason, str(path))


def clear_leftover(leftover: Path, path: Path) -> None:
    """Remove a temporary file that a killed writer left next to `path`.

    The temporary file may hold the version of another program, which the writer had swapped out and could not put back
    before it was killed. If so, that version goes back first.
    """
    found = _read_swapped_out(leftover)
    with contextlib.suppress(OSError, UnreadableFileError, FileChanged):
        now = read_version(path)
        if found is not None and now is not None:
            # The name holds the ids of the former and the new version. Anything else came from another program.
            ids = leftover.name.split("-")[-2:]
            if _content_id(now) == ids[-1] and _content_id(found) not in ids:
                _publish(leftover, path, now)
    with contextlib.suppress(OSError):
        leftover.unlink()


def _publish(temporary: Path, path: Path, former: FileVersion) -> None:
    """Exchange the two files. If the file that comes out is not the expected one, it is newer and goes back in."""
    ours = put = read_version(temporary)
    expected: FileVersion | None = former
    if read_version(path) != former:
        raise FileChanged
    for _ in range(_ATTEMPTS):
        try:
            exchange(temporary, path)
        except FileNotFoundError as error:
            raise FileChanged from error
        except OSError as error:
            if error.errno not in _NO_RENAMEAT2:
                raise
            return _publish_by_rename(temporary, path, former)
        swapped_out = _read_swapped_out(temporary)
        if swapped_out == expected:
            break
        # Another program wrote the file just before the exchange. Exchange again, to put its version back.
        expected, put = put, swapped_out
    if put is not ours:
        raise FileChanged
    return None


def _publish_by_rename(temporary: Path, path: Path, former: FileVersion | None) -> None:
    """Replace the file without renameat2 (NFS, FUSE). A write between the check and the rename is lost."""
    if read_version(path) != former:
        raise FileChanged
    temporary.rename(path)


def _publish_new(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`, if no file exists there yet."""
    try:
        rename_new(temporary, path)
    except FileExistsError as error:
        raise FileChanged from error
    except OSError as error:
        if error.errno not in _NO_RENAMEAT2:
            raise
        _publish_by_rename(temporary, path, None)


def _read_swapped_out(temporary: Path) -> FileVersion | None:
    """Read the file that an exchange took out. None if it is not a readable regular file, and therefore not ours."""
    if temporary.is_symlink():
        return None
    try:
        return read_version(temporary)
    except (OSError, UnreadableFileError):
        return None


def _write_temporary(path: Path, former: FileVersion | None, data: bytes, *, sync: bool) -> Path:
    # `clear_leftover` reads these ids from the name if this process is killed.
    ids = [_content_id(former), _content_id(former and replace(former, data=data))]
    temporary = path.with_name(TEMPORARY_PREFIX + "-".join([secrets.token_hex(8), *ids]))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # First, since it can fail: the owner of the directory could keep a file that is removed only afterwards.
            _remove_inherited_access_list(descriptor)
            if former is not None:
                _take_over_permissions(descriptor, path, former)
            file.write(data)
            file.flush()
            if sync:
                os.fsync(descriptor)
    except BaseException:
        _discard(temporary)
        raise
    return temporary


def _discard(temporary: Path) -> None:
    """Remove the temporary file, or empty it if its directory lets no file go: it holds logins."""
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        with contextlib.suppress(OSError):
            # A file with another name may be a version that a person keeps elsewhere.
            if temporary.lstat().st_nlink == 1:
                os.truncate(temporary, 0)


def _remove_emptied(directory: Path) -> None:
    """Remove what `_discard` could only empty. Raises an OSError before another file gets stuck in the directory."""
    for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_size == 0 and found.st_uid == os.geteuid():
                path.unlink()


def _content_id(version: FileVersion | None) -> str:
    """Return an id that distinguishes versions in a file name. It is too short to reveal anything about the content."""
    if version is None:
        return "new"
    # Without the group, which a new version may not be able to keep.
    attributes = b"%o %d " % (version.mode & ~stat.S_IRWXG, version.uid)
    return hashlib.sha256(attributes + version.data).hexdigest()[:4]


def _take_over_permissions(descriptor: int, path: Path, former: FileVersion) -> None:
    mode = former.mode if _take_over_owner(descriptor, path, former) else former.mode & ~stat.S_IRWXG
    for name in _attributes(path):
        try:
            os.setxattr(descriptor, name, os.getxattr(path, name))
        except OSError:
            # With an access list, the group bits of the mode are a mask. Without it, they would admit the whole group.
            if name == _ACCESS_LIST:
                raise
    os.fchmod(descriptor, mode)


def _take_over_owner(descriptor: int, path: Path, former: FileVersion) -> bool:
    """Return whether the group could be kept too. If not, the file has the user's own group, as after docker login.

    Its group bits would then admit another group. Raises PermissionError if the file belongs to another user.
    """
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) == (former.uid, former.gid):
        return True
    try:
        os.fchown(descriptor, former.uid, former.gid)
    except OSError as error:  # PermissionError, or EINVAL for a group that a user namespace does not have
        if found.st_uid == former.uid:
            return False
        raise owner_not_kept(path, former.uid, former.gid) from error
    return True


def _attributes(file: Path | int) -> list[str]:
    try:
        return os.listxattr(file)
    except OSError:
        return []


def _remove_inherited_access_list(descriptor: int) -> None:
    """Remove the default access list of the directory. With the mode of the former file, it would admit others."""
    if _ACCESS_LIST in _attributes(descriptor):
        os.removexattr(descriptor, _ACCESS_LIST)


def _write_in_place(path: Path, former: FileVersion, data: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        # Not atomic: a write by another program between this check and our write would be lost.
        if version_of(descriptor, file.readall()) != former:
            raise FileChanged
        try:
            _reserve(descriptor, len(former.data), len(data))
            _overwrite(descriptor, data)
        except OSError:
            _overwrite(descriptor, former.data)
            raise


def _reserve(descriptor: int, size: int, wanted: int) -> None:
    """Reserve space first, to notice a full disk before the old content is gone. Trailing spaces are valid JSON."""
    if wanted > size:
        _write_all(descriptor, b" " * (wanted - size), size)
        os.fsync(descriptor)


def _overwrite(descriptor: int, data: bytes) -> None:
    """Write `data` and pad it with spaces, so that a kill before the truncation leaves nothing of the old content."""
    _write_all(descriptor, data.ljust(os.fstat(descriptor).st_size), 0)
    os.ftruncate(descriptor, len(data))
    os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)


def _sync(path: Path) -> None:
    """Sync the path, but ignore errors: the file is already in place, and only a power failure could undo it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
