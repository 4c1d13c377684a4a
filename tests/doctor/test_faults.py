"""Common faults, where the doctor promises more than `tests/scenarios` checks."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from agent.demo.registries import BasicAuth
from agent.demo.tls import server_context
from tests.codes.programs import script
from tests.codes.world import LOGIN, REGION, USER, USERS, World
from tests.doctor.machine import Doctor, blamed
from tests.fakecloud.faults import Answer
from tests.fakecloud.registries import PretendRegistry
from tests.rig.needs import need

ELSEWHERE = "0.0.0.0"  # noqa: S104 - reaches this machine, and neither docker nor a proxy takes it for loopback
TOKEN_CALL = "ecr:GetAuthorizationToken"


def remove_good_secret(world: World) -> None:
    """Remove the registry that works in every world."""
    (world.agent.secrets / "good.json").unlink()


def test_does_not_resend_a_rejected_password(world: World, doctor: Doctor) -> None:
    """Neither while the agent runs nor after it has ended. With --try, the doctor sends it once."""
    door = world.registry("wrong", BasicAuth(USERS), {"username": USER, "password": "not-it"})
    world.start({"retry": {"rejected_wait_s": 600}})
    world.raised("login_rejected", door.hostname)
    assert door.registry.wrong == {USER: 1}
    report = doctor(door.hostname)
    link = report.link("login", door.hostname)
    assert (link["code"], report.first) == ("login_rejected", (door.hostname, "agent"))
    assert "--try" in link["seen"]
    world.agent.end()
    assert "next automatic attempt at" in blamed(doctor, door.hostname, "login", "login_rejected")["seen"]
    assert door.registry.wrong == {USER: 1}
    tried = doctor(door.hostname, "--try").link("login", door.hostname)
    assert tried["code"] == "login_rejected", tried
    assert door.registry.wrong == {USER: 2}

    world.agent.give("wrong", door.hostname, **LOGIN)
    assert doctor(door.hostname).link("login", door.hostname)["outcome"] == "ok"


def test_repeats_why_the_agent_was_refused(world: World, doctor: Doctor) -> None:
    """An account without access needs its administrator, in each check. Another password would not help."""
    door = world.registry("forbidden")
    door.registry.fault = Answer(403, "this account is suspended")
    world.start({"retry": {"rejected_wait_s": 600}})
    world.raised("login_forbidden", door.hostname)
    report = doctor(door.hostname)
    links = [report.link(name, door.hostname) for name in ("agent", "/v2/", "login")]
    assert {(link["code"], link["needs"]) for link in links} == {("login_forbidden", "admin")}
    assert len({link["fix"] for link in links}) == 1
    assert f"{door.hostname} denies access (status 403)" in links[1]["seen"]
    assert "--try" in links[2]["seen"]


def test_reports_a_wrong_clock(world: World, doctor: Doctor) -> None:
    """The doctor compares this machine's clock with the Date header of the registry's answer."""
    registry = PretendRegistry(BasicAuth(USERS))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        answer = await registry.handle(request)
        answer.headers["Date"] = format_datetime(datetime.now(UTC) - timedelta(minutes=20), usegmt=True)
        return answer

    listener = world.serve(handle, tls=server_context())
    world.agent.give("late", listener.address, **LOGIN)
    world.prepare()
    link = blamed(doctor, listener.address, "clock", "clock_skew")
    assert "20 min ahead" in link["seen"]
    assert "clock" in link["fix"]


def test_checks_the_registry_without_a_docker_cli(world: World, doctor: Doctor) -> None:
    """Only the login is not reached."""
    programs = world.home / "bin"
    programs.mkdir()
    world.prepare(PATH=str(programs))
    link = blamed(doctor, world.good.hostname, "docker cli", "docker_cli_missing", common=True)
    assert "docker" in link["fix"]
    outcomes = doctor(world.good.hostname).outcomes(world.good.hostname)
    assert (outcomes["/v2/"], outcomes["login"]) == ("ok", "not reached")


def test_knows_that_ecr_login_stores_nothing(world: World, doctor: Doctor) -> None:
    """The doctor reports it without trying to store a login."""
    programs = world.home / "bin"
    programs.mkdir()
    calls = world.home / "calls"
    script(
        programs / "docker-credential-ecr-login",
        f"echo $1 >>{calls}",
        "echo credentials not found in native keychain; exit 1",
    )
    (world.agent.docker / "config.json").write_text(json.dumps({"credsStore": "ecr-login"}))
    world.prepare(PATH=f"{programs}:{os.environ['PATH']}")
    link = blamed(doctor, world.good.hostname, "store", "credential_store_failed")
    assert "docker-credential-ecr-login cannot store" in link["seen"]
    assert "to secrets.exclude" in link["fix"], "as the agent's own hint"
    assert calls.read_text() == "get\n"


_READ_ONLY_FILE = """
    echo {} >"$1/config.json"
    mount --bind "$1/config.json" "$1/config.json" && mount -o remount,ro,bind "$1/config.json"
"""


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ('head -c 65536 /dev/zero >"$1/filler"', "the disk is full"),
        ('mount -o remount,ro "$1"', "read-only"),
        (_READ_ONLY_FILE, "read-only"),
    ],
    ids=["full", "read-only", "read-only file"],
)
def test_reports_a_disk_that_cannot_be_written(world: World, doctor: Doctor, fault: str, message: str) -> None:
    """The doctor finds out without writing to it."""
    need("unshare", "mount")
    path = world.home / ".docker"
    mount = f'mount -t tmpfs -o size=64k,mode=700 tmpfs "$1" && {{ {fault.strip()} 2>/dev/null; shift; exec "$@"; }}'
    world.here.before = (str(shutil.which("unshare")), "--mount", "sh", "-c", mount, "sh", str(path))
    world.prepare()
    link = blamed(doctor, world.good.hostname, "configuration", "config_unwritable", common=True)
    assert message in link["seen"]
    assert link["fix"]


def test_reports_a_secrets_service_that_is_down(world: World, doctor: Doctor) -> None:
    """The report names the URL without its query, and says that an administrator must act."""
    remove_good_secret(world)
    listener = world.serve(PretendRegistry(None).handle)
    world.down(listener)
    world.prepare({"secrets": {"url": f"{listener.url}/v1/secrets?key=open-sesame"}})
    link = blamed(doctor, world.good.hostname, "secrets", "secrets_unavailable", common=True)
    assert listener.url in link["seen"]
    assert link["needs"] == "admin"
    assert "open-sesame" not in json.dumps(link)


def test_reports_each_step_of_an_ecr_login(world: World, doctor: Doctor) -> None:
    """The identity, the token, how long it lives, and that the registry accepts it."""
    aws = world.aws(token_life_s=43200)
    door = world.ecr(aws)
    world.prepare()
    report = doctor(door.hostname)
    outcomes = report.outcomes(door.hostname)
    assert {outcomes[name] for name in ("aws identity", "token", "token life", "login")} == {"ok"}, report.document
    assert "12.0 h" in report.link("token life", door.hostname)["seen"]
    assert REGION in report.link("token", door.hostname)["seen"]
