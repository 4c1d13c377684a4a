"""What the report contains, besides the common faults."""

import base64
import json
import time
from typing import Final

import pytest
from aiohttp import web

from agent.demo.registries import BasicAuth, TokenAuth, errors
from agent.demo.tls import server_context
from tests.codes.programs import install_docker
from tests.codes.world import LOGIN, PERSON, USERS, World
from tests.doctor.machine import Doctor
from tests.fakecloud.faults import Broken
from tests.fakecloud.registries import PretendRegistry

TOTAL_S: Final = 100.0
"""The doctor ends within 30 s, or later on a busy machine. The registry would stay silent forever."""


def images(*, there: str = "org/app", denied: str = "org/secret") -> PretendRegistry:
    """A registry with one image that can be pulled, one that is forbidden, and no other."""

    class Images(PretendRegistry):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            answer = await super().handle(request)
            if answer.status != 404:
                return answer
            if request.path == f"/v2/{there}/manifests/1.0":
                return web.Response(headers={"Docker-Content-Digest": "sha256:" + "a" * 64})
            if request.path.startswith(f"/v2/{denied}/"):
                why = "User: arn:aws:sts::1:assumed-role/dev/i is not authorized to perform: ecr:BatchGetImage on it"
                return errors(403, "DENIED", why)
            return errors(404, "MANIFEST_UNKNOWN", "manifest unknown")

    return Images(TokenAuth(USERS))


def test_no_check_fails_after_the_agent_has_logged_in(world: World, doctor: Doctor) -> None:
    """Every check is ok or does not apply, and the last line says so."""
    world.start()
    world.nothing_stopped()
    report = doctor(world.good.hostname)
    assert report.code == 0, report.document
    assert report.first is None
    skipped = {name for name, outcome in report.outcomes(world.good.hostname).items() if outcome == "skipped"}
    assert skipped == {"proxy", "aws identity", "token", "token life", "pull"}
    assert "reports logged in" in report.link("agent", world.good.hostname)["seen"]
    assert "user robot from config.json" in report.link("in use", world.good.hostname)["seen"]
    assert "all is well" in doctor.words(world.good.hostname).splitlines()[-1]


def test_reports_a_missing_login_without_an_agent(world: World, doctor: Doctor) -> None:
    """No agent ran yet. Only Docker's own entry is missing, and the fix is to start the agent."""
    world.prepare()
    report = doctor(world.good.hostname)
    assert report.first == (world.good.hostname, "in use")
    assert report.link("login", world.good.hostname)["outcome"] == "ok"
    assert "pulls are anonymous" in report.link("in use", world.good.hostname)["seen"]
    assert report.link("agent")["outcome"] == "skipped"


def test_starts_with_the_fault_of_the_registry_in_question(world: World, doctor: Doctor) -> None:
    """An invalid secret of another registry is reported, but is not what to fix first."""
    door = world.registry("wrong", BasicAuth(USERS), {"username": "robot", "password": "not-it"})
    (world.agent.secrets / "bad.json").write_text('{"name": "bad", "hostname": "elsewhere.example"}')
    world.prepare()
    report = doctor(door.hostname)
    assert [link["code"] for link in report.links("secrets") if link["outcome"] == "broken"] == ["secret_invalid"]
    assert report.first == (door.hostname, "login")
    assert doctor("elsewhere.example").first in ((None, "secrets"), ("elsewhere.example", "dns"))


def test_reports_that_docker_uses_a_persons_own_login(world: World, doctor: Doctor) -> None:
    """The agent reports that it is logged in. The doctor still shows that Docker would use another login."""
    door = world.registry("shared", BasicAuth({**USERS, **PERSON}))
    world.start()
    world.agent.wait_logged_in(door.hostname)
    login = ("docker", "login", "--username", "a-person", "--password-stdin", door.hostname)
    assert world.here.run(*login, env=world.agent.env, stdin=PERSON["a-person"]).returncode == 0
    report = doctor(door.hostname)
    link = report.link("in use", door.hostname)
    assert (link["code"], link["outcome"]) == ("login_overridden", "broken")
    assert "a-person" in link["seen"]
    assert report.link("login", door.hostname)["outcome"] == "ok"


def test_the_installed_docker_decides_whether_it_can_read_the_configuration(world: World, doctor: Doctor) -> None:
    """Docker 20.10 accepts a file that later versions ignore. The agent and the doctor follow the installed one."""
    programs = world.home / "programs"
    install_docker(programs, "trixie")
    world.start()
    world.agent.wait_logged_in(world.good.hostname)
    (world.agent.docker / "config.json").write_text('{"features": {"buildkit": true}}')
    world.good_state = "retrying"
    world.raised("config_invalid", world.good.hostname, says="features.buildkit is a boolean")
    assert doctor().link("configuration")["code"] == "config_invalid"
    install_docker(programs, "bookworm")
    world.reload()
    world.good_state = "logged_in"
    world.cleared("config_invalid", world.good.hostname)
    assert doctor().link("configuration")["outcome"] == "ok"


def test_reports_a_login_in_docker_auth_config(world: World, doctor: Doctor) -> None:
    """Docker uses the variable DOCKER_AUTH_CONFIG first, from 28.3 on."""
    programs, users = world.home / "programs", {**USERS, **PERSON}
    install_docker(programs, "sid")
    door = world.registry("variable", BasicAuth(users))
    [(person, password)] = PERSON.items()
    theirs = {"auth": base64.b64encode(f"{person}:{password}".encode()).decode()}
    world.prepare(DOCKER_AUTH_CONFIG=json.dumps({"auths": {door.hostname: theirs}}))
    link = doctor(door.hostname).link("in use", door.hostname)
    assert link["code"] == "login_overridden"
    assert "DOCKER_AUTH_CONFIG" in link["fix"]
    del users[person]
    link = doctor(door.hostname).link("in use", door.hostname)
    assert link["code"] == "login_rejected"
    assert "DOCKER_AUTH_CONFIG" in link["fix"]
    install_docker(programs, "bookworm")
    assert "DOCKER_AUTH_CONFIG" not in str(doctor(door.hostname).link("in use", door.hostname))


def test_asks_the_registry_about_the_login_that_docker_uses(world: World, doctor: Doctor) -> None:
    """The secret's password works, but docker uses an older login that has died. A login that works passes."""
    users = {**USERS, **PERSON}
    door = world.registry("old", BasicAuth(users))
    [(person, password)] = PERSON.items()
    theirs = {"auth": base64.b64encode(f"{person}:{password}".encode()).decode()}
    (world.agent.docker / "config.json").write_text(json.dumps({"auths": {door.hostname: theirs}}))
    world.prepare()
    assert doctor(door.hostname).link("in use", door.hostname)["code"] == "login_overridden"
    del users[person]
    report = doctor(door.hostname)
    link = report.link("in use", door.hostname)
    assert (link["code"], link["outcome"]) == ("login_rejected", "broken")
    assert f"registry-agent renew {door.hostname}" in link["fix"]
    assert report.link("login", door.hostname)["outcome"] == "ok"


def test_sends_a_wrong_password_only_once(world: World, doctor: Doctor) -> None:
    """It is in the secret, and docker has it too: registries lock accounts."""
    users = dict(USERS)
    door = world.registry("wrong", BasicAuth(users))
    world.start()
    world.agent.wait_logged_in(door.hostname)
    world.agent.end()
    users.clear()
    assert doctor(door.hostname).link("login", door.hostname)["code"] == "login_rejected"
    assert door.registry.wrong == {LOGIN["username"]: 1}


def test_names_an_older_key_in_the_configuration(world: World, doctor: Doctor) -> None:
    """Docker also finds a login under a key that old versions wrote."""
    auth = "cm9ib3Q6b2xk"
    entry = {"auths": {f"https://{world.good.hostname}/v2/": {"auth": auth}}}
    (world.agent.docker / "config.json").write_text(json.dumps(entry))
    world.prepare()
    assert "older key https://" in doctor(world.good.hostname).link("in use", world.good.hostname)["seen"]


IMAGES: Final = {
    "there": ("org/app:1.0", ("ok", None), "sha256:aaaa"),
    "not there": ("org/app:2.0", ("broken", "registry_refused_request"), "404"),
    "denied": ("org/secret:1.0", ("broken", "login_forbidden"), "does not allow this login to pull"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_checks_an_image(world: World, doctor: Doctor, name: str) -> None:
    """The report shows whether the image can be pulled, and if not, which permission is missing."""
    image, expected, message = IMAGES[name]
    registry = images()
    listener = world.serve(registry.handle, tls=server_context())
    world.agent.give("images", listener.address, **LOGIN)
    world.prepare()
    link = doctor(f"{listener.address}/{image}").link("pull", listener.address)
    assert (link["outcome"], link["code"]) == expected, link
    assert message in link["seen"]
    if name == "denied":
        assert "ecr:BatchGetImage" in link["fix"]


def test_checks_all_registries_without_a_host(world: World, doctor: Doctor) -> None:
    """The shared checks run once. A registry that hangs does not delay or fail the others."""
    doors = [world.registry(f"number-{number}") for number in range(3)]
    silent = world.registry("silent")
    silent.registry.fault = Broken.SILENT
    world.prepare()
    started = time.monotonic()
    report = doctor()
    assert time.monotonic() - started < TOTAL_S
    hostnames = [registry["hostname"] for registry in report.document["registries"]]
    assert sorted(hostnames) == sorted(door.hostname for door in [world.good, silent, *doors])
    assert {report.link("login", door.hostname)["outcome"] for door in [world.good, *doors]} == {"ok"}
    assert report.link("/v2/", silent.hostname)["code"] == "registry_timeout"


def test_a_disabled_secret_fails_no_check(world: World, doctor: Doctor) -> None:
    """The registry is shown, and the missing login is not reported as a fault."""
    door = world.registry("off", secret={**LOGIN, "enabled": "false"})
    world.prepare()
    report = doctor(door.hostname)
    assert report.link("secret", door.hostname)["outcome"] == "skipped"
    assert (report.code, report.first) == (0, None)
