"""The worlds of the tests: one per test, or one per module."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.matrix import Fault as Row
from tests.codes.matrix import fault_name, write
from tests.codes.world import World
from tests.rig.needs import need
from tests.scenarios.fault import Fault
from tests.scenarios.life import Life
from tests.scenarios.readers import Readers, browser, found_by, look


@pytest.fixture(scope="session")
def faults() -> Iterator[list[Row]]:
    """The results of the tests. `make faults` writes them into the document."""
    faults: list[Row] = []
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
    here: Here, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, faults: list[Row]
) -> Iterator[Life]:
    """An agent that had all faults of the module's GROUP, and has recovered."""
    _need_docker()
    with hunted(here, tmp_path_factory.mktemp("life") / "home") as world:
        life = Life(world, request.module.GROUP)
        life.start()
        life.fix()
        yield life
    faults.extend(life.rows())


@dataclass(frozen=True, slots=True)
class Reported:
    """One life of an agent, and all reports while the faults lasted."""

    life: Life
    readers: Readers

    def by_all(self, fault: Fault) -> None:
        """Fail unless the page, `status` and doctor report the fault, and doctor its fix."""
        seen = self.life.of(fault)
        assert seen.warning is not None
        assert fault.link is not None
        self.readers.report(seen.warning, fault.link)
        assert fault.hint in found_by(self.readers.doctor, fault.link, fault.code, seen.caused.subject)["fix"]


@pytest.fixture(scope="module")
def reported(
    here: Here, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, faults: list[Row]
) -> Iterator[Reported]:
    """As `life`, with the reports."""
    need("docker", "chromium")
    with hunted(here, tmp_path_factory.mktemp("reported") / "home") as world:
        life = Life(world, request.module.GROUP)
        life.start()
        with browser() as chromium:
            readers = look(world, chromium)
        life.fix()
        yield Reported(life, readers)
    faults.extend(life.rows())


@pytest.fixture(scope="module")
def shared(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all tests of a module. Their faults happen one after the other."""
    _need_docker()
    with hunted(here, tmp_path_factory.mktemp("shared") / "home") as world:
        yield world


@pytest.fixture
def shared_world(shared: World, request: pytest.FixtureRequest, faults: list[Row]) -> Iterator[World]:
    """The shared world, for one test. Secrets that the test adds are removed at its end."""
    shared.begin()
    before = set(shared.agent.secrets.iterdir())
    yield shared
    for path in set(shared.agent.secrets.iterdir()) - before:
        path.unlink()
    faults.append(Row(*fault_name(request.node.nodeid), shared.seen))


@pytest.fixture
def world(here: Here, tmp_path: Path, request: pytest.FixtureRequest, faults: list[Row]) -> Iterator[World]:
    """At its end, the agent must have answered all requests, and no secret may have leaked."""
    _need_docker()
    with hunted(here, tmp_path / "home") as world:
        yield world
    faults.append(Row(*fault_name(request.node.nodeid), world.seen))


def _need_docker() -> None:
    if shutil.which("docker") is None:
        pytest.skip("needs docker (package docker-cli or docker.io)")
