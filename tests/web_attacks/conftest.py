"""Agents to attack."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web_attacks import crowds
from tests.web_attacks.target import Target


@pytest.fixture
def home() -> Iterator[Path]:
    """Its name is short, as a socket's path must be."""
    if shutil.which("docker") is None:
        pytest.skip("needs docker (package docker-cli or docker.io)")
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        yield Path(directory)


@pytest.fixture
def crowded(home: Path) -> Iterator[Target]:
    """With the usual number of descriptors; the attackers have more, and know the token."""
    crowds.may_open_many()
    with Target(home, token=True, before=crowds.LIMIT) as target:
        yield target
