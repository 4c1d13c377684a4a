"""Logins in memory: docker asks the agent through its credential helper."""

import json
from functools import partial
from pathlib import Path

import pytest

from agent.demo.registries import BasicAuth, TokenAuth
from tests.codes.programs import install_docker
from tests.codes.world import PASSWORD, PERSON, USER, USERS, World
from tests.rig.agent import REGISTRY_AGENT, Status
from tests.rig.helper import NAME, ask_helper, install_helper, password_from, secret_files
from tests.rig.waiting import until

HELPER = {"docker": {"store": "helper"}}


@pytest.fixture
def world(world: World) -> World:
    """No secret may be in any file of these tests, Docker's configuration included."""
    world.stores_logins = False
    return world


def asking(world: World) -> dict[str, str]:
    """The environment of a docker that asks this agent."""
    return {**world.agent.env, "REGISTRY_AGENT_SOCKET": str(world.agent.socket)}


def has_row(fields: dict[str, str], status: Status) -> bool:
    """Whether the status has a registry with these fields."""
    return any(fields.items() <= row.items() for row in status["registries"])


@pytest.mark.parametrize("release", ["bookworm", "trixie", "sid"])
def test_a_docker_cli_that_asks_the_credential_helper(world: World, release: str) -> None:
    """It logs in with the agent's login, and is refused with another one. `docker logout` changes nothing."""
    programs = world.home / "programs"
    install_docker(programs, release)
    helper = install_helper(programs)
    door = world.registry("door", BasicAuth({**USERS, **PERSON}))
    world.start(HELPER)
    # A login that is still running has its password in a private directory for a moment.
    world.agent.wait_logged_in(door.hostname, world.good.hostname)
    assert secret_files(world.home, PASSWORD, without=world.agent.secrets) == []

    def docker(*args: str, stdin: str = "") -> tuple[int, str]:
        done = world.here.run(programs / "docker", *args, env=asking(world), stdin=stdin)
        return done.returncode, done.stdout + done.stderr

    [(person, password)] = PERSON.items()
    logged_in = [
        docker("login", "--username", user, "--password-stdin", door.hostname, stdin=stdin)
        for user, stdin in ((USER, PASSWORD), (person, password))
    ]
    assert logged_in[0][0] == 0, logged_in
    assert logged_in[1][0] == 1, logged_in
    assert f"{door.hostname} is kept by registry-agent; change secret {door.secret}" in logged_in[1][1]
    code, output = docker("logout", door.hostname)
    assert code == 0, output
    until("the line", lambda: world.agent.docker_config()["credHelpers"][door.hostname] == "registry-agent")
    assert password_from(helper, door.hostname, asking(world)) == PASSWORD
    assert secret_files(world.home, PASSWORD, without=world.agent.secrets) == []


def test_the_store_changes_while_the_agent_runs(world: World) -> None:
    """Back and forth, with a login at every moment, and without a secret in the file in the end."""
    helper = install_helper(world.home / "programs")
    door = world.registry("door")
    world.start()
    world.agent.wait_logged_in(door.hostname)
    for store, place in (("helper", "memory"), ("file", "config.json"), ("helper", "memory")):
        world.set(docker={"store": store})
        stored = {"hostname": door.hostname, "stored_in": place}
        world.agent.wait_for(place, partial(has_row, stored))
        assert password_from(helper, door.hostname, asking(world)) == PASSWORD
        has_login = door.hostname in world.agent.docker_config()["auths"]
        assert has_login is (store == "file")
    world.nothing_stopped()


def test_passwords_and_tokens_are_in_no_file(world: World) -> None:
    """Of registries with passwords, with a token server and with AWS: renewed, changed, used and logged in again."""
    helper = install_helper(world.home / "programs")
    aws = world.aws(token_life_s=3600)
    users = {USER: PASSWORD}
    doors = [world.registry("basic", BasicAuth(users)), world.registry("token", TokenAuth(USERS)), world.ecr(aws)]
    world.start(HELPER)
    world.agent.wait_logged_in(*(door.hostname for door in doors))
    tokens = [password_from(helper, door.hostname, asking(world)) for door in doors]
    assert tokens == [PASSWORD, PASSWORD, aws.tokens.issued[-1].password]

    assert world.agent.command("renew").returncode == 0
    users[USER] = world.sources.secret("the next password")
    world.agent.give(doors[0].secret, doors[0].hostname, username=USER, password=users[USER])
    until("the next password", lambda: password_from(helper, doors[0].hostname, asking(world)) == users[USER])
    for door, user in zip(doors, (USER, USER, "AWS"), strict=True):
        secret = password_from(helper, door.hostname, asking(world))
        command = ("docker", "login", "--username", user, "--password-stdin", door.hostname)
        done = world.here.run(*command, env=asking(world), stdin=secret)
        assert done.returncode == 0, done.stderr
    assert password_from(helper, doors[2].hostname, asking(world)) == aws.tokens.issued[-1].password != tokens[2]


def test_a_dead_agent_is_named(world: World) -> None:
    """Within a moment, and with what to do. The line stays for the next start."""
    helper = install_helper(world.home / "programs")
    world.start(HELPER)
    world.agent.wait_logged_in(world.good.hostname)
    environ = asking(world)
    assert world.agent.end() == 0
    done = ask_helper(helper, world.good.hostname, environ)
    assert done.returncode == 1
    assert "registry-agent is not running; start it" in done.stdout
    document = json.loads((Path(world.agent.docker) / "config.json").read_text())
    assert document["credHelpers"] == {world.good.hostname: "registry-agent"}


def test_the_doctor_asks_the_credential_helper_as_docker_does(world: World) -> None:
    """It names the user of the login that docker would get, and finds nothing to fix."""
    install_helper(world.home / "programs")
    world.start(HELPER)
    hostname = world.good.hostname
    world.agent.wait_logged_in(hostname)
    until("the line", lambda: world.agent.docker_config().get("credHelpers") == {hostname: "registry-agent"})
    done = world.here.run(REGISTRY_AGENT, "doctor", "--config", world.settings_file, hostname, env=asking(world))
    assert done.returncode == 0, done.stdout
    assert f"user {USER} from {NAME}" in done.stdout


def test_run_once_keeps_its_logins_in_the_file(world: World) -> None:
    """Nothing could answer after its end."""
    world.stores_logins = True
    install_helper(world.home / "programs")
    agent = world.prepare(HELPER)
    assert agent.once().wait() == 0
    assert set(agent.docker_config()["auths"]) == {world.good.hostname}
    assert "credHelpers" not in agent.docker_config()
