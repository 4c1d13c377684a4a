"""Programs that a test installs: small ones instead of real ones, and the docker CLI of another release."""

from pathlib import Path

import pytest

from tests.prepare.steps import DOCKER_CLIS
from tests.rig.needs import prepared


def script(path: Path, *lines: str) -> None:
    """Write a shell script atomically. It replaces an existing file."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    unfinished.chmod(0o755)
    unfinished.replace(path)


def install_docker(directory: Path, release: str) -> None:
    """Put the docker CLI of a Debian release into `directory`: 20.10 (bookworm), 26 (trixie) or the newest (sid)."""
    program = prepared(DOCKER_CLIS) / release / "docker"
    if not program.exists():
        pytest.skip(f"needs the docker CLI of {release}, which the mirror did not have")
    # A link, because the search for leaked secrets would read a copy.
    (directory / "docker.new").symlink_to(program)
    (directory / "docker.new").replace(directory / "docker")
