"""Logins that Docker holds, and that stop working: a dead password, a dead token, a person's own login that ends."""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from aiohttp import web

from agent.demo.registries import Auth, BasicAuth, Refusal, TokenAuth, basic, errors
from tests.codes.causes import causes
from tests.codes.world import PASSWORD, PERSON, REGION, USER, USERS, Door, World
from tests.rig.waiting import until
from tests.scenarios.clouds import Clouds, door_of

KINDS: Final[Mapping[str, Callable[[Mapping[str, str]], Auth]]] = {"basic": BasicAuth, "token": TokenAuth}


class IdentityTokens:
    """As Azure's registry: a login gets a refresh token, and Docker stores that instead of the password."""

    def __init__(self) -> None:
        self.valid: Final[set[str]] = set()

    async def __call__(self, request: web.BaseRequest) -> str | web.Response:
        if request.path == "/token":
            return await self._token(request)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") in self.valid:
            return USER
        realm = f'Bearer realm="https://{request.host}/token",service="{request.host}"'
        raise Refusal(errors(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": realm}))

    async def _token(self, request: web.BaseRequest) -> web.Response:
        form = await request.post()
        token = str(form.get("refresh_token") or secrets.token_urlsafe(32))
        if token not in self.valid and basic(request) != (USER, PASSWORD):
            return errors(401, "UNAUTHORIZED", "incorrect user name, password or refresh token")
        self.valid.add(token)
        return web.json_response({"token": token, "refresh_token": token, "expires_in": 300})


@pytest.fixture(scope="module")
def clouds(shared: World) -> Clouds:
    """One agent for all tests. It asks each registry every second."""
    clouds = Clouds.of(shared)
    shared.start({"renewal": {"min_interval_s": 0.5, "check_interval_s": 1}})
    return clouds


@pytest.fixture
def world(clouds: Clouds, shared_world: World) -> World:  # noqa: ARG001 - which has started it
    return shared_world


def log_in_by_hand(world: World, door: Door, username: str, password: str) -> None:
    args = ("docker", "login", "--username", username, "--password-stdin", door.hostname)
    done = world.here.run(*args, env=world.agent.env, stdin=password)
    assert done.returncode == 0, done.stderr


@causes("login_rejected")
@pytest.mark.parametrize("kind", KINDS)
def test_a_password_that_dies(world: World, kind: str) -> None:
    """An expired access token: the agent notices without a pull, sends it no more, and leaves the login in place."""
    users = dict(USERS)
    door = world.registry("dies", KINDS[kind](users))
    world.agent.wait_logged_in(door.hostname)
    del users[USER]
    world.raised("login_rejected", door.hostname, says="refused the user name or password of secret dies")
    row = world.agent.registry(door.hostname)
    assert row is not None
    assert row["state"] == "rejected"
    assert door.hostname in world.agent.docker_config()["auths"]
    users.update(USERS)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("login_rejected", door.hostname)


def test_an_identity_token_that_dies(world: World) -> None:
    """The registry gave it at the login. The agent logs in again with the password, so pulls work again."""
    auth = IdentityTokens()
    door = world.registry("identity", auth)
    world.agent.wait_logged_in(door.hostname)
    before = world.agent.docker_config()["auths"][door.hostname]
    assert "identitytoken" in before
    auth.valid.clear()
    until("another token", lambda: world.agent.docker_config()["auths"][door.hostname] != before)
    status = world.well_again(door.hostname)
    assert "login_rejected" not in {warning["code"] for warning in status["warnings"]}


@causes("login_rejected", "login_overridden")
def test_a_persons_login_that_dies(world: World) -> None:
    """It stays, because it is a person's. The error names it, and `renew` stores the injected one."""
    users = {**USERS, **PERSON}
    door = world.registry("persons", BasicAuth(users))
    world.agent.wait_logged_in(door.hostname)
    [(person, password)] = PERSON.items()
    log_in_by_hand(world, door, person, password)
    world.raised("login_overridden", door.hostname)
    del users[person]
    warning = world.raised("login_rejected", door.hostname, says="which the agent did not store")
    assert f"renew {door.hostname}" in warning["hint"]
    assert world.agent.command("renew", door.hostname).returncode == 0
    world.cleared("login_rejected", door.hostname)
    world.cleared("login_overridden", door.hostname)


@causes("login_overridden", "login_restored")
def test_a_persons_own_ecr_login(world: World, clouds: Clouds) -> None:
    """As with `aws ecr get-login-password | docker login`: it stays until its token ends, then the agent's follows."""
    aws, keys = clouds.with_keys(token_life_s=3600)
    door = door_of(world, aws, **keys)
    world.agent.wait_logged_in(door.hostname)
    ends = (datetime.now(UTC) + timedelta(seconds=15)).replace(microsecond=0)  # a token has its end in whole seconds
    theirs = aws.tokens.issue("arn:aws:iam::123456789012:user/ada", REGION, ends)
    log_in_by_hand(world, door, "AWS", theirs.password)
    world.raised("login_overridden", door.hostname, says="works until")
    world.raised("login_restored", door.hostname, says="that a person made has ended")
    assert datetime.now(UTC) >= ends
    world.cleared("login_overridden", door.hostname)
