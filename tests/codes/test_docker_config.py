"""Faults of Docker's configuration, and changes by people and other programs."""

import base64
import json
from typing import Any, Final

import pytest

from agent.demo.registries import BasicAuth
from tests.codes.causes import causes
from tests.codes.world import LOGIN, PERSON, USERS, World
from tests.rig.waiting import until

THEIRS: Final = {"auth": base64.b64encode(":".join(*PERSON.items()).encode()).decode()}
OURS: Final = {"auth": base64.b64encode(f"{LOGIN['username']}:{LOGIN['password']}".encode()).decode()}


def write(world: World, document: object) -> bytes:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    (world.agent.docker / "config.json").write_bytes(content)
    return content


def auths(world: World) -> dict[str, Any]:
    entries: dict[str, Any] = world.agent.docker_config().get("auths", {})
    return entries


@pytest.fixture(scope="module")
def started(shared: World) -> World:
    """One agent for all tests. Each test changes Docker's configuration in another way."""
    shared.start()
    shared.nothing_stopped()
    return shared


@pytest.fixture
def world(started: World, shared_world: World) -> World:  # noqa: ARG001 - which has started it
    return shared_world


@causes("config_invalid")
@pytest.mark.parametrize(
    "content", [b'{"auths": {', b'{"auths": {"ghcr.io": {"auth": "%"}}}'], ids=["cut off", "invalid auth"]
)
def test_a_file_that_docker_cannot_read(world: World, content: bytes) -> None:
    """It is not touched. Old and new logins are stored once it is fixed. No row promises a pull until then."""
    world.good_state = "retrying"
    write(world, content)
    door = world.registry("later")
    for hostname in (door.hostname, world.good.hostname):
        world.raised("config_invalid", hostname, says="config.json")
    assert (world.agent.docker / "config.json").read_bytes() == content

    write(world, {"detachKeys": "ctrl-x"})
    world.good_state = "logged_in"
    world.agent.wait_logged_in(door.hostname)
    for hostname in (door.hostname, world.good.hostname):
        world.cleared("config_invalid", hostname)
    expected = {"detachKeys": "ctrl-x", "auths": {world.good.hostname: OURS, door.hostname: OURS}}
    until("all of it", lambda: world.agent.docker_config() == expected)


@causes("config_unwritable")
def test_a_directory_without_write_permission(world: World) -> None:
    """Existing logins stay. The new one is stored as soon as the directory is writable."""
    world.agent.docker.chmod(0o500)
    try:
        door = world.registry("later")
        world.raised("config_unwritable", door.hostname, says="permission denied")
    finally:
        world.agent.docker.chmod(0o700)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("config_unwritable", door.hostname)


@causes("login_overridden")
def test_a_manual_docker_login(world: World) -> None:
    """A person's real `docker login` stays until `renew HOST` replaces it."""
    door = world.registry("shared", BasicAuth({**USERS, **PERSON}))
    world.agent.wait_logged_in(door.hostname)
    [(person, password)] = PERSON.items()
    login = ("docker", "login", "--username", person, "--password-stdin", door.hostname)
    done = world.here.run(*login, env=world.agent.env, stdin=password)
    assert done.returncode == 0, done.stderr
    warning = world.raised("login_overridden", door.hostname, says="config.json")
    assert "renew" in warning["hint"]
    assert auths(world)[door.hostname] == THEIRS

    renewed = world.agent.command("renew", door.hostname)
    assert renewed.returncode == 0, renewed.stdout + renewed.stderr
    world.cleared("login_overridden", door.hostname)
    assert auths(world)[door.hostname] == OURS


@causes("login_overridden")
def test_an_old_podman_login(world: World) -> None:
    """Podman uses its own file first. The message names the file, and the hint how to remove the login."""
    auth_json = world.home / ".config" / "containers" / "auth.json"
    auth_json.parent.mkdir(parents=True)
    auth_json.write_text(json.dumps({"auths": {world.good.hostname: THEIRS}}))
    warning = world.raised("login_overridden", world.good.hostname, says=str(auth_json))
    assert "podman logout" in warning["hint"]
    auth_json.unlink()
    world.cleared("login_overridden", world.good.hostname)


@causes("login_restored")
def test_a_docker_logout(world: World) -> None:
    """After a real `docker logout`, our login is back within 5 s, with a notice."""
    done = world.here.run("docker", "logout", world.good.hostname, env=world.agent.env)
    assert done.returncode == 0, done.stderr
    assert world.good.hostname not in auths(world)
    until("the entry's return", lambda: auths(world).get(world.good.hostname) == OURS, timeout=5)
    world.raised("login_restored", world.good.hostname)
