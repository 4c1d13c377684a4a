"""Replacing a file that other programs write too: whole or not at all, and nothing that they wrote is lost."""

import contextlib
import errno
import hashlib
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.edge.file_version import FileVersion, UnreadableFileError, read_version, version_of
from agent.edge.renameat2 import exchange, rename_new

TEMPORARY_PREFIX: Final = ".config.json.registry-agent-"
_ATTEMPTS: Final = 64
_NO_RENAMEAT2: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


class FileChanged(Exception):  # noqa: N818 - what happened, and no error
    """Somebody wrote in between. What they wrote is in place, ours is not: read again."""


def replace_version(path: Path, former: FileVersion | None, data: bytes, *, sync_after: bool = False) -> None:
    """Put `data` in the place of `former`, which was read from `path` (no link); None: where nothing was.

    Owner, mode and access lists stay. A bind-mounted single file cannot be renamed over and is written in place.
    In a `hurry`, against somebody who writes all the time, the data is brought to the disk after it is in place: before
    is safer against a power cut, but takes longer than such a writer leaves us.

    Raises:
        FileChanged: `path` was no longer `former`.
        OSError: and nothing is changed.
    """
    if former is not None and _is_mount_point(path):
        _write_in_place(path, former, data)
        return
    temporary = _write_temporary(path, former, data, sync=not sync_after)
    try:
        if former is None:
            _publish_new(temporary, path)
        else:
            _publish(temporary, path, former)
    finally:
        temporary.unlink(missing_ok=True)
    if sync_after:
        _sync(path)
    _sync(path.parent)


def clear_leftover(leftover: Path, path: Path) -> None:
    """Remove what a killed writer left of its work on `path`.

    If that is what somebody else wrote in the last microsecond, taken out and not put back in time, it goes back first.
    """
    came = _read_what_came(leftover)
    with contextlib.suppress(OSError, UnreadableFileError, FileChanged):
        now = read_version(path)
        if came is not None and now is not None:
            marks = leftover.name.split("-")[-2:]
            if _content_id(now) == marks[-1] and _content_id(came) not in marks:
                _publish(leftover, path, now)
    with contextlib.suppress(OSError):
        leftover.unlink()


def _publish(temporary: Path, path: Path, former: FileVersion) -> None:
    """Let the two change places; what comes out and is not what was expected is newer, so it goes back in."""
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
        came = _read_what_came(temporary)
        if came == expected:
            break
        expected, put = put, came
    if put is not ours:
        raise FileChanged
    return None


def _publish_by_rename(temporary: Path, path: Path, former: FileVersion | None) -> None:
    """For file systems without renameat2 (NFS, FUSE): a writer in the microseconds between the two steps is lost."""
    if read_version(path) != former:
        raise FileChanged
    temporary.rename(path)


def _publish_new(temporary: Path, path: Path) -> None:
    try:
        rename_new(temporary, path)
    except FileExistsError as error:
        raise FileChanged from error
    except OSError as error:
        if error.errno not in _NO_RENAMEAT2:
            raise
        _publish_by_rename(temporary, path, None)


def _read_what_came(temporary: Path) -> FileVersion | None:
    """None for what is no file that we can read, and so is not ours."""
    if temporary.is_symlink():
        return None
    try:
        return read_version(temporary)
    except (OSError, UnreadableFileError):
        return None


def _write_temporary(path: Path, former: FileVersion | None, data: bytes, *, sync: bool) -> Path:
    marks = [_content_id(former), _content_id(former and replace(former, data=data))]
    temporary = path.with_name(TEMPORARY_PREFIX + "-".join([secrets.token_hex(8), *marks]))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if former is not None:
                _take_over_permissions(descriptor, path, former)
            if sync:
                os.fsync(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _content_id(version: FileVersion | None) -> str:
    """Tells versions apart in a temporary file's name; too short to tell anything of what is in them."""
    if version is None:
        return "new"
    held = b"%o %d %d " % (version.mode, version.uid, version.gid)
    return hashlib.sha256(held + version.data).hexdigest()[:4]


def _take_over_permissions(descriptor: int, path: Path, former: FileVersion) -> None:
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) != (former.uid, former.gid):
        try:
            os.fchown(descriptor, former.uid, former.gid)
        except PermissionError as error:
            reason = f"it belongs to user {former.uid}, group {former.gid}, and that owner could not be kept"
            raise PermissionError(errno.EPERM, reason, str(path)) from error
    # An access list makes the group's bits a mask: the bits without the list would let the whole group in.
    with contextlib.suppress(OSError):
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(path, name))
    os.fchmod(descriptor, former.mode)


def _write_in_place(path: Path, former: FileVersion, data: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        if version_of(descriptor, file.readall()) != former:
            raise FileChanged
        try:
            _reserve(descriptor, len(former.data), len(data))
            _overwrite(descriptor, data)
        except OSError:
            _overwrite(descriptor, former.data)
            raise


def _reserve(descriptor: int, size: int, wanted: int) -> None:
    """Take the room first, so that a full disk is known before the old content is gone; spaces at the end are JSON."""
    if wanted > size:
        _write_all(descriptor, b" " * (wanted - size), size)
        os.fsync(descriptor)


def _overwrite(descriptor: int, data: bytes) -> None:
    """With spaces to the file's end, so that who is killed before it is cut off leaves nothing of the old behind."""
    _write_all(descriptor, data.ljust(os.fstat(descriptor).st_size), 0)
    os.ftruncate(descriptor, len(data))
    os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)


def _is_mount_point(path: Path) -> bool:
    """Whether something is mounted on this very file, by proc(5)'s mountinfo: `os.path.ismount` misses that."""
    escaped = os.fsencode(path)
    for character in b"\\ \t\n":
        escaped = escaped.replace(bytes([character]), b"\\%03o" % character)
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return False
    return any(mount.split(b" ", 5)[4] == escaped for mount in mounts)


def _sync(path: Path) -> None:
    """The file is in place by now: what cannot be synced may be late after a power cut."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
