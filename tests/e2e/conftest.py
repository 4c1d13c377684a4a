"""The real parts, started once per session, and one agent for each test."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.rig.agent import Agent, Settings
from tests.rig.cloud import API, ECR, Cloud, cloud_on
from tests.rig.distribution import Distribution
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.needs import need
from tests.rig.other_clouds import GROUPS

PRIVATE: Final = "registry.example.test"
MANY: Final = tuple(f"r{number:02}.many.example.test" for number in range(20))
WRONG: Final = "wrong.example.test"
SILENT: Final = "silent.example.test"
COMMANDED: Final = "tokens.example.test"
"""A registry whose passwords a command issues."""
PLAIN: Final = "plain.example.test:5000"
"""A registry without TLS. The engine's settings allow it."""
IMAGE: Final = "team/hello:1"

MakeAgent: TypeAlias = Callable[..., Agent]


def password(name: str) -> str:
    """Return the password of user `name` at the private registry."""
    return f"password-of-{name}"


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need("ip", "nsenter", "update-ca-certificates", "docker")
    machine = Machine(
        tmp_path_factory.mktemp("machine"),
        [(PRIVATE, *MANY), (WRONG,), (SILENT,), API, (ECR,), (PLAIN.partition(":")[0],), (COMMANDED,), *GROUPS],
    )
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def images(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the registry behind ECR, which requires no login."""
    need("docker-registry")
    distribution = Distribution(machine.namespace, tmp_path_factory.mktemp("images") / "run", "127.0.0.1", 5000)
    yield "http://127.0.0.1:5000"
    distribution.close()


@pytest.fixture(scope="session")
def private(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A real registry with TLS and htpasswd at `PRIVATE` and all of `MANY`. The users are alice and those names."""
    need("docker-registry", "htpasswd")
    names = (PRIVATE, *MANY)
    directory = tmp_path_factory.mktemp("private") / "run"
    users = {name: password(name) for name in ("alice", *MANY)}
    tls = machine.authority.files(*names)
    distribution = Distribution(machine.namespace, directory, machine.address(PRIVATE), 443, tls=tls, users=users)
    yield
    distribution.close()


@pytest.fixture(scope="session")
def engine(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    need("dockerd")
    engine = Engine(machine.namespace, tmp_path_factory.mktemp("engine") / "run", insecure=[PLAIN])
    yield engine
    engine.close()


@pytest.fixture
def cloud(machine: Machine, images: str) -> Iterator[Cloud]:
    with cloud_on(machine, images) as cloud:
        yield cloud


@pytest.fixture
def make_agent(machine: Machine, tmp_path: Path) -> Iterator[MakeAgent]:
    """Make agents without starting them. Each must answer all the time, and at the end exit with code 0."""
    homes = (tmp_path / f"home{number}" for number in itertools.count())
    with ExitStack() as ends:

        def make(settings: Settings | None = None, **env: str) -> Agent:
            agent = Agent(machine.namespace, next(homes), settings or {}, {**machine.trust, **env})
            ends.callback(_end_well, agent)
            return agent

        yield make


def _end_well(agent: Agent) -> None:
    if agent.running:
        assert agent.end() == 0, agent.log()


@pytest.fixture
def ecr_image(engine: Engine) -> str:
    """Create an image for the ECR registry that is only on the engine so far."""
    image = f"{ECR}/{IMAGE}"
    engine.make_image(image)
    return image
