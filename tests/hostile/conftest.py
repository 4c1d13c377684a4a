"""Fixtures: a separate world for each test, its screens, and the directory of another user."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codes.conftest import here
from tests.codes.here import Here
from tests.codes.world import World
from tests.hostile.screens import Screens
from tests.rig.needs import need

__all__ = ["here"]


@pytest.fixture
def world(here: Here, tmp_path: Path) -> Iterator[World]:
    """Yield a world. After the test, `good` must still be logged in, without interruption."""
    need("docker")
    world = World(here, tmp_path / "home")
    try:
        yield world
        if world.agent.running:
            world.nothing_stopped()
    finally:
        world.close()


@pytest.fixture
def screens(world: World) -> Iterator[Screens]:
    """Yield the screens. After the test, check that no raw text reached any of them."""
    screens = Screens(world)
    try:
        yield screens
        screens.are_clean()
    finally:
        screens.close()


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """Return a directory of another user that everybody may write to."""
    directory = tmp_path / "stranger"
    directory.mkdir()
    directory.chmod(0o777)
    os.chown(directory, STRANGER, STRANGER)
    return directory


STRANGER = 12345
