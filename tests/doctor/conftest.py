"""Fixtures: a separate world for each test, and the doctor command in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codes.conftest import here
from tests.codes.here import Here
from tests.codes.world import World
from tests.doctor.machine import Doctor

__all__ = ["here"]


@pytest.fixture
def world(here: Here, tmp_path: Path) -> Iterator[World]:
    if shutil.which("docker") is None:
        pytest.skip("needs docker (package docker-cli or docker.io)")
    world = World(here, tmp_path / "home")
    try:
        yield world
    finally:
        here.before = ()
        world.close()


@pytest.fixture
def doctor(world: World) -> Doctor:
    return Doctor(world)
