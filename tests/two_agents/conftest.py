"""Fixtures: an environment with an agent, in which other agents of the same user run too."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codes.here import Here
from tests.codes.world import World


@pytest.fixture(scope="session")
def here() -> Iterator[Here]:
    here = Here()
    yield here
    here.close()


@pytest.fixture
def world(here: Here, tmp_path: Path) -> Iterator[World]:
    if shutil.which("docker") is None:
        pytest.skip("needs docker (package docker-cli or docker.io)")
    world = World(here, tmp_path / "home")
    try:
        yield world
    finally:
        world.close()
