"""Directories of the docker from snap. It is confined, and sees another home directory than the user."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_INSTALLED: Final = (Path("/snap/docker/current"), Path("/var/lib/snapd/snap/docker/current"))
"""Links to the installed revision."""


def login_directory(home: Path) -> Path:
    """Return where its logins run: it can read neither /run nor hidden directories of the user's home."""
    return home / "snap/docker/common/registry-agent"


def make_home(docker_config: Path, installed: Iterable[Path] = _INSTALLED) -> None:
    """Make its home directory as snap does at its first run, if Docker's configuration is there. Blocks.

    `current` must be a link to a revision. If it were a directory, snap would no longer start docker.
    """
    current = docker_config.parent
    if current.parts[-3:] != ("snap", "docker", "current") or os.path.lexists(current):
        return
    for link in installed:
        with contextlib.suppress(OSError):
            revision = link.readlink()
            (current.parent / revision).mkdir(mode=0o700, parents=True, exist_ok=True)
            current.symlink_to(revision)
            return
