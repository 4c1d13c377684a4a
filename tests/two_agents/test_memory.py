"""Two agents of one user that keep their logins in memory: docker asks the one that manages its configuration."""

from collections.abc import Iterator

import pytest

from agent.demo.registries import BasicAuth
from tests.codes.test_helper_store import HELPER
from tests.codes.world import LOGIN, PERSON, USERS, World
from tests.rig.agent import REGISTRY_AGENT, Agent
from tests.rig.helper import NAME, install_helper, password_from

[(_PERSON, _PASSWORD)] = PERSON.items()
OTHER_LOGIN = {"username": _PERSON, "password": _PASSWORD}


@pytest.fixture
def others(world: World) -> Iterator[tuple[Agent, Agent]]:
    """Two agents with different directories, and with different logins to the same registry."""
    world.stores_logins = False
    install_helper(world.home / "programs")
    door = world.registry("door", BasicAuth({**USERS, **PERSON}))
    another = World(world.here, world.home / "other")
    first, other = world.prepare(HELPER), another.prepare(HELPER, **world.env)
    other.give("door", door.hostname, **OTHER_LOGIN)
    (other.secrets / "good.json").unlink()
    try:
        for agent in (first.start(), other.start()):
            agent.wait_for("memory", lambda status: {row["stored_in"] for row in status["registries"]} == {"memory"})
        yield first, other
    finally:
        another.close()


def test_docker_asks_the_agent_that_manages_its_configuration(world: World, others: tuple[Agent, Agent]) -> None:
    """Docker's environment names neither agent's directories. The doctor shows the login that docker uses."""
    hostname = others[1].status()["registries"][0]["hostname"]
    for agent, login in zip(others, (LOGIN, OTHER_LOGIN), strict=True):
        docker = {"PATH": world.env["PATH"], "HOME": "/", "DOCKER_CONFIG": str(agent.docker)}
        assert password_from(world.home / "programs" / NAME, hostname, docker) == login["password"]
        shown = world.here.run(REGISTRY_AGENT, "doctor", hostname, env=docker)
        assert f"user {login['username']} from {NAME}" in shown.stdout, shown.stdout + shown.stderr
