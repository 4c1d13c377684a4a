"""A world of its own for each test, and a neighbour in it."""

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
    """At its end the agent must have answered all the time, and `good` must still be logged in."""
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
    """At the test's end nothing raw may have reached any of them."""
    screens = Screens(world)
    try:
        yield screens
        screens.are_clean()
    finally:
        screens.close()


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A directory of another user, who lets everybody in."""
    directory = tmp_path / "stranger"
    directory.mkdir()
    directory.chmod(0o777)
    os.chown(directory, STRANGER, STRANGER)
    return directory


STRANGER = 12345
