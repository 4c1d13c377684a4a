"""Where docker asks the agent for logins: the doctor asks its helper too, and never blames it for a missing login."""

import pytest

from tests.codes.world import World
from tests.doctor.machine import Doctor
from tests.fakecloud.faults import Broken
from tests.rig.helper import NAME, install_helper
from tests.rig.waiting import until


@pytest.fixture
def world(world: World) -> World:
    """Docker finds the helper, which asks this agent."""
    install_helper(world.home / "programs")
    world.env["REGISTRY_AGENT_SOCKET"] = str(world.agent.socket)
    world.defaults["docker"] = {**world.defaults["docker"], "store": "helper"}
    return world


def wait_for_line(world: World, hostname: str) -> None:
    """Wait until docker asks the agent for the registry's login."""
    until("the line", lambda: world.agent.docker_config().get("credHelpers", {}).get(hostname) == "registry-agent")


@pytest.mark.parametrize("readable", [True, False])
def test_the_fix_without_a_running_agent_is_to_start_it(world: World, doctor: Doctor, *, readable: bool) -> None:
    """Pulls need the agent, also where this user cannot read the secret. Nothing is wrong with the helper."""
    hostname = world.good.hostname
    world.start().wait_logged_in(hostname)
    world.agent.end()
    told = doctor(hostname, *([] if readable else ["--set", f'secrets.directories=["{world.home}/none"]']))
    assert told.link("store", hostname)["outcome"] == "ok"
    link = told.link("in use", hostname)
    assert (link["outcome"], link["code"]) == ("broken", None)
    assert f"no login for {hostname}: registry-agent is not running" in link["seen"]
    assert "start the agent" in link["fix"]
    assert not readable or told.first == (hostname, "in use")


def test_reports_the_same_codes_as_the_status_if_the_login_was_refused(world: World, doctor: Doctor) -> None:
    """The agent's reason comes first. The helper repeats it, which is no further fault."""
    door = world.registry("wrong", secret={"username": "robot", "password": "not-it"})
    world.start({"retry": {"rejected_wait_s": 600}})
    world.raised("login_rejected", door.hostname)
    wait_for_line(world, door.hostname)
    told = doctor(door.hostname)
    assert told.first == (door.hostname, "agent")
    assert {link["code"] for link in told.all_links() if link["outcome"] == "broken"} == {"login_rejected"}
    assert (told.outcomes(door.hostname)["store"], told.outcomes(door.hostname)["in use"]) == ("ok", "not reached")


def test_waits_as_long_as_the_helper_for_a_login(world: World, doctor: Doctor) -> None:
    """The registry is silent, so the agent's helper waits for the attempt in progress. It is not reported as broken."""
    door = world.registry("silent")
    door.registry.fault = Broken.SILENT
    world.start({"docker": {"login_timeout_s": 120}}).wait_logged_in(world.good.hostname)
    wait_for_line(world, door.hostname)
    told = doctor(door.hostname, "--set", f'secrets.directories=["{world.home}/none"]')
    assert told.link("store", door.hostname)["seen"] == f"{NAME} answers"
    assert f"registry-agent has no login for {door.hostname}" in told.link("in use", door.hostname)["seen"]


def test_finds_nothing_wrong_after_a_login(world: World, doctor: Doctor) -> None:
    """The login in use is the agent's own, also with a token that the secret does not contain."""
    door = world.ecr(world.aws(token_life_s=43200))
    world.start().wait_logged_in(door.hostname)
    wait_for_line(world, door.hostname)
    told = doctor(door.hostname)
    assert (told.code, told.link("in use", door.hostname)["outcome"]) == (0, "ok")
    assert NAME in told.link("in use", door.hostname)["seen"]
