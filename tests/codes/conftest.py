"""The worlds of the tests: one per test, or one per module."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.matrix import Fault, fault_name, write
from tests.codes.world import World
from tests.scenarios.life import Life


@pytest.fixture(scope="session")
def faults() -> Iterator[list[Fault]]:
    """The results of the tests. `make faults` writes them into the document."""
    faults: list[Fault] = []
    yield faults
    if "FAULTS_DOCUMENT" in os.environ:
        write(faults)


@pytest.fixture(scope="session")
def here() -> Iterator[Here]:
    here = Here()
    yield here
    here.close()


@pytest.fixture(scope="module")
def life(
    here: Here, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, faults: list[Fault]
) -> Iterator[Life]:
    """An agent that had all faults of the module's GROUP, and has recovered."""
    _need_docker()
    with hunted(here, tmp_path_factory.mktemp("life") / "home") as world:
        life = Life(world, request.module.GROUP)
        life.start()
        life.fix()
        yield life
    faults.extend(life.rows())


@pytest.fixture(scope="module")
def shared(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all tests of a module. Their faults happen one after the other."""
    _need_docker()
    with hunted(here, tmp_path_factory.mktemp("shared") / "home") as world:
        yield world


@pytest.fixture
def shared_world(shared: World, request: pytest.FixtureRequest, faults: list[Fault]) -> Iterator[World]:
    """The shared world, for one test. Secrets that the test adds are removed at its end."""
    shared.begin()
    before = set(shared.agent.secrets.iterdir())
    yield shared
    for path in set(shared.agent.secrets.iterdir()) - before:
        path.unlink()
    faults.append(Fault(*fault_name(request.node.nodeid), shared.seen))


@pytest.fixture
def world(here: Here, tmp_path: Path, request: pytest.FixtureRequest, faults: list[Fault]) -> Iterator[World]:
    """At its end, the agent must have answered all requests, and no secret may have leaked."""
    _need_docker()
    with hunted(here, tmp_path / "home") as world:
        yield world
    faults.append(Fault(*fault_name(request.node.nodeid), world.seen))


def _need_docker() -> None:
    if shutil.which("docker") is None:
        pytest.skip("needs docker (package docker-cli or docker.io)")
