"""Detects that the systemd unit's sandbox has lost the writable mount of Docker's configuration directory."""

import os
from pathlib import Path
from typing import Final


class Sandbox:
    """The sandbox of the unit: the home directory is read-only, except for a writable mount of `directory`.

    That mount is lost when the directory is removed, and does not come back when the directory is created again.
    """

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory
        self._mounted: Final = _identity(directory)

    def is_lost(self) -> bool:
        """Return whether the directory has been replaced since the start and is now read-only. Blocks."""
        return self._mounted is not None and _identity(self.directory) != self._mounted and _read_only(self.directory)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _read_only(path: Path) -> bool:
    """Return whether the file system of `path`, or of its nearest existing parent, is read-only."""
    for place in (path, *path.parents):
        try:
            return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
        except OSError:
            continue
    return False
