"""A machine with one private image behind each kind of login, an agent for each, and the results as a table."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from agent.demo.registries import BasicAuth, TokenAuth
from tests.fakecloud.registries import PretendRegistry
from tests.prepare.step import KEPT
from tests.prepare.steps import DEBIAN_13_CLIENTS
from tests.rig.cloud import API, cloud_on, upstream_on
from tests.rig.distribution import Distribution
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.needs import need, prepared
from tests.rig.tree import Tree
from tests.torture.clients.logins import AMAZON, BASIC, HUB, LOGINS, REPOSITORY, STORES, TAG, TOKEN, USERS
from tests.torture.clients.site import Site
from tests.torture.clients.table import Table

_UPSTREAM: Final = "127.0.0.1:5000"
# The manifest of a dev container's feature, without its files. `docker push` cannot make one.
_PUSH_FEATURE: Final = f"""
echo {{}} >config
oras push --plain-http --config config:application/vnd.devcontainers {_UPSTREAM}/{REPOSITORY}:feature
"""


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    """The results. `make clients` writes them into the document."""
    table = Table()
    yield table
    if "CLIENTS_DOCUMENT" in os.environ:
        table.write()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need("ip", "nsenter", "update-ca-certificates", "docker", "dockerd", "docker-registry")
    machine = Machine(tmp_path_factory.mktemp("machine"), [API, *(login.hosts for login in LOGINS)])
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def engine(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(machine.namespace, tmp_path_factory.mktemp("engine") / "run")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def registries(
    machine: Machine, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, PretendRegistry]]:
    """Four registries with different logins, in front of a real one with the image."""
    directory = tmp_path_factory.mktemp("images")
    registries: dict[str, PretendRegistry] = {}
    with ExitStack() as ends:
        distribution = Distribution(machine.namespace, directory / "run", "127.0.0.1", 5000)
        ends.callback(distribution.close)
        image = f"{_UPSTREAM}/{REPOSITORY}:{TAG}"
        # The C library's ldconfig is static, so that it runs in an image without anything else.
        engine.make_image(image, prepared(DEBIAN_13_CLIENTS) / "usr/sbin/ldconfig")
        engine.must("push", image, config=directory)
        programs = Tree(machine.namespace, prepared(DEBIAN_13_CLIENTS), tmp_path_factory.mktemp("scratch"), KEPT)
        pushed = programs.run(["sh", "-ec", _PUSH_FEATURE], directory, {})
        assert pushed.returncode == 0, pushed.stderr
        upstream = ends.enter_context(upstream_on(machine, f"http://{_UPSTREAM}"))
        for login, auth in ((BASIC, BasicAuth(USERS)), (TOKEN, TokenAuth(USERS)), (HUB, TokenAuth(USERS))):
            registries[login.name] = PretendRegistry(auth, upstream=upstream)
            ends.enter_context(machine.serving(registries[login.name].handle, *login.hosts))
        cloud = ends.enter_context(cloud_on(machine, f"http://{_UPSTREAM}"))
        yield {**registries, AMAZON.name: cloud.registry}


@pytest.fixture(
    scope="module",
    params=[(login, store) for store in STORES for login in LOGINS],
    ids=lambda kept: f"{kept[0].name} in the {kept[1]}",
)
def site(
    request: pytest.FixtureRequest,
    machine: Machine,
    engine: Engine,
    registries: dict[str, PretendRegistry],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """An agent that keeps one login."""
    login, store = request.param
    directory = tmp_path_factory.mktemp("site")
    site = Site(machine, engine, registries[login.name], login, store, directory=directory)
    site.start()
    yield site
    assert site.agent.end() == 0, site.agent.log()
