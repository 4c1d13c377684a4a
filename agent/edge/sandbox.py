"""The unit's sandbox around the agent, as far as it concerns Docker's configuration directory."""

import os
from pathlib import Path
from typing import Final


class Sandbox:
    """The unit shows the home directory read-only, and `directory` in it by a mount that can be written.

    That mount goes when somebody removes the directory, and does not come back with a new one.
    """

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory
        self._mounted: Final = _identity(directory)

    def is_lost(self) -> bool:
        """Whether the directory is another one than at the start, on a file system that is read-only; blocking."""
        return self._mounted is not None and _identity(self.directory) != self._mounted and _read_only(self.directory)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _read_only(path: Path) -> bool:
    """Of the path, or of what is left of the way to it."""
    for place in (path, *path.parents):
        try:
            return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
        except OSError:
            continue
    return False
