"""Tokens that live for seconds, and the warnings while they cannot be renewed."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

import pytest
from aiohttp import web

from agent.demo.registries import BasicAuth
from agent.demo.tls import server_context
from tests.codes.causes import causes
from tests.codes.world import NATIVE, REGION, World
from tests.fakecloud.registries import EcrAuth, PretendRegistry
from tests.scenarios.clouds import Clouds, door_of

CALL: Final = "ecr:GetAuthorizationToken"


@pytest.fixture(scope="module")
def clouds(shared: World) -> Clouds:
    """One agent for all tests. Each test has its own cloud and keys."""
    clouds = Clouds.of(shared)
    shared.start({"renewal": {"min_interval_s": 0.5, "urgent_window_s": 2, "fraction": 0.25}})
    return clouds


@pytest.fixture
def world(clouds: Clouds, shared_world: World) -> World:  # noqa: ARG001 - which has started it
    return shared_world


@causes("renewal_failing", "aws_error")
def test_a_failing_renewal(world: World, clouds: Clouds) -> None:
    """A warning next to the cause, and an error in the urgent window. The login stays, and works."""
    aws, keys = clouds.with_keys(token_life_s=8)
    door = door_of(world, aws, **keys)
    world.agent.wait_logged_in(door.hostname)
    aws.fail(CALL, "server_error")
    world.raised("renewal_failing", door.hostname, severity="warning")
    world.raised("aws_error", door.hostname)
    world.raised("renewal_failing", door.hostname, severity="error")
    world.agent.wait_logged_in(door.hostname)
    assert door.hostname in world.agent.docker_config()["auths"]
    aws.heal()
    world.cleared("renewal_failing", door.hostname)
    world.cleared("aws_error", door.hostname)


@causes("token_expired", "renewal_failing")
def test_an_expired_login(world: World, clouds: Clouds) -> None:
    """Only this login is removed from Docker's configuration. It is back once AWS issues a token again."""
    before = set(world.agent.docker_config()["auths"])
    aws, keys = clouds.with_keys(token_life_s=6)
    door = door_of(world, aws, **keys)
    world.agent.wait_logged_in(door.hostname)
    aws.fail(CALL, "server_error")
    world.raised("renewal_failing", door.hostname, severity="error")
    world.raised("token_expired", door.hostname)
    expired = world.agent.wait_for("the state", lambda s: any(row["state"] == "expired" for row in s["registries"]))
    assert "renewal_failing" not in {warning["code"] for warning in expired["warnings"]}
    world.agent.wait_for("its end", lambda _: set(world.agent.docker_config()["auths"]) == before)

    aws.token_life_s = 600
    aws.heal()
    world.agent.wait_logged_in(door.hostname)
    world.cleared("token_expired", door.hostname)
    world.cleared("renewal_failing", door.hostname)
    assert set(world.agent.docker_config()["auths"]) == {*before, door.hostname}


@causes("token_expired")
def test_a_ready_token_from_2015(world: World, clouds: Clouds) -> None:
    """A registry that does not look at its end accepts it. Status and doctor report it all the same."""
    aws, _ = clouds.with_keys()
    old, new = (aws.tokens.issue("a person", REGION, aws.now().replace(year=year)).password for year in (2015, 2100))
    users = {"AWS": old}
    door = world.registry("ready", BasicAuth(users), {"username": "AWS", "password": old, "kind": "ecr"})
    warning = world.raised("token_expired", door.hostname, says="expired at 2015-")
    assert warning["hint"].startswith("put a new token into the secret")
    assert "all is well" not in world.agent.command("status").stdout
    doctor = world.agent.command("doctor", door.hostname).stdout
    assert "all is well" not in doctor
    assert "expired at 2015-" in doctor
    users["AWS"] = new
    world.agent.give(door.secret, door.hostname, username="AWS", password=new, kind="ecr")
    world.agent.wait_logged_in(door.hostname)
    world.cleared("token_expired", door.hostname)


def test_a_token_that_ends_early(world: World, clouds: Clouds) -> None:
    """After ECR's 403 "token has expired", a new token is fetched at once. It is no `login_forbidden`."""
    aws, keys = clouds.with_keys(token_life_s=3600)
    first = door_of(world, aws, **keys)
    world.agent.wait_logged_in(first.hostname)
    aws.tokens.end_all()
    second = door_of(world, aws, **keys)
    status = world.agent.wait_logged_in(second.hostname)
    assert aws.count(CALL) == 2
    assert "login_forbidden" not in {warning["code"] for warning in status["warnings"] + status["cleared"]}


@causes("clock_skew")
def test_a_registry_with_a_wrong_clock(world: World, clouds: Clouds) -> None:
    """The login works. The warning clears with the next login that gets the right time."""
    off = timedelta(minutes=17)
    aws, keys = clouds.with_keys(token_life_s=12)
    registry = PretendRegistry(EcrAuth(aws.valid, REGION))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        answer = await registry.handle(request)
        answer.headers["Date"] = format_datetime(datetime.now(UTC) + off, usegmt=True)
        return answer

    listener = world.serve(handle, tls=server_context())
    world.agent.give("off", listener.address, **{**NATIVE, **keys})
    world.raised("clock_skew", listener.address, says="17 min")
    world.agent.wait_logged_in(listener.address)
    off = timedelta()
    world.cleared("clock_skew", listener.address)
