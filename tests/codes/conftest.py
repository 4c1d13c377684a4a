"""A world of its own for each test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.matrix import Fault, fault_name, write
from tests.codes.world import World


@pytest.fixture(scope="session")
def faults() -> Iterator[list[Fault]]:
    """What the tests saw; `make faults` has it written into the document."""
    faults: list[Fault] = []
    yield faults
    if "FAULTS_DOCUMENT" in os.environ:
        write(faults)


@pytest.fixture(scope="session")
def here() -> Iterator[Here]:
    here = Here()
    yield here
    here.close()


@pytest.fixture
def world(here: Here, tmp_path: Path, request: pytest.FixtureRequest, faults: list[Fault]) -> Iterator[World]:
    """At its end the agent must have answered all the time, and no secret is where none may be."""
    if shutil.which("docker") is None:
        pytest.skip("needs docker (package docker-cli or docker.io)")
    with hunted(here, tmp_path / "home") as world:
        yield world
    faults.append(Fault(*fault_name(request.node.nodeid), world.seen))
