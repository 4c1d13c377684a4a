"""Finds out whether something is mounted on a path."""

import os
from pathlib import Path


def is_mount_point(path: Path) -> bool:
    """Return whether something is mounted on this file or directory, from proc(5) mountinfo.

    `os.path.ismount` misses bind mounts of the same file system.
    """
    # mountinfo escapes these characters in paths as octal numbers.
    escaped = os.fsencode(path)
    for character in b"\\ \t\n":
        escaped = escaped.replace(bytes([character]), b"\\%03o" % character)
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return False
    return any(mount.split(b" ", 5)[4] == escaped for mount in mounts)
