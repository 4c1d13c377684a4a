"""The faults that people have, where doctor promises more than `tests/scenarios` looks at."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from agent.demo.registries import BasicAuth, PretendRegistry
from agent.demo.tls import server_context
from tests.codes.programs import script
from tests.codes.world import LOGIN, REGION, USER, USERS, World
from tests.doctor.machine import Doctor, blamed
from tests.rig.needs import need

ELSEWHERE = "0.0.0.0"  # noqa: S104 - reaches this machine, and neither docker nor a proxy takes it for loopback
TOKEN_CALL = "ecr:GetAuthorizationToken"


def alone(world: World) -> None:
    """Without the registry that is well in every world."""
    (world.agent.secrets / "good.json").unlink()


def test_a_password_that_was_refused_is_not_sent_again(world: World, doctor: Doctor) -> None:
    """Neither while the agent runs nor after, by what its state says; with --try it is, once."""
    door = world.registry("wrong", BasicAuth(USERS), {"username": USER, "password": "not-it"})
    world.start({"retry": {"rejected_wait_s": 600}})
    world.raised("login_rejected", door.hostname)
    assert door.registry.wrong == {USER: 1}
    link = blamed(doctor, door.hostname, "login", "login_rejected")
    assert "--try" in link["seen"]
    world.agent.end()
    assert "held back" in blamed(doctor, door.hostname, "login", "login_rejected")["seen"]
    assert door.registry.wrong == {USER: 1}
    tried = doctor(door.hostname, "--try").link("login", door.hostname)
    assert tried["code"] == "login_rejected", tried
    assert door.registry.wrong == {USER: 2}

    world.agent.give("wrong", door.hostname, **LOGIN)
    assert doctor(door.hostname).link("login", door.hostname)["outcome"] == "ok"


def test_clock_off_by_the_registrys(world: World, doctor: Doctor) -> None:
    """The same by the Date of a registry's answer."""
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


def test_docker_cli_missing(world: World, doctor: Doctor) -> None:
    """The registry itself is looked at all the same; only the login is not reached."""
    programs = world.home / "bin"
    programs.mkdir()
    world.prepare(PATH=str(programs))
    link = blamed(doctor, world.good.hostname, "docker cli", "docker_cli_missing", common=True)
    assert "docker" in link["fix"]
    outcomes = doctor(world.good.hostname).outcomes(world.good.hostname)
    assert (outcomes["/v2/"], outcomes["login"]) == ("ok", "not reached")


def test_ecr_login_as_store(world: World, doctor: Doctor) -> None:
    """It takes no login; that is known without giving it one."""
    programs = world.home / "bin"
    programs.mkdir()
    asked = world.home / "asked"
    script(
        programs / "docker-credential-ecr-login",
        f"echo $1 >>{asked}",
        "echo credentials not found in native keychain; exit 1",
    )
    (world.agent.docker / "config.json").write_text(json.dumps({"credsStore": "ecr-login"}))
    world.prepare(PATH=f"{programs}:{os.environ['PATH']}")
    link = blamed(doctor, world.good.hostname, "store", "credential_store_failed")
    assert "docker-credential-ecr-login cannot store" in link["seen"]
    assert asked.read_text() == "get\n"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [('head -c 65536 /dev/zero >"$1/filler"', "the disk is full"), ('mount -o remount,ro "$1"', "read-only")],
    ids=["full", "read-only"],
)
def test_full_disk(world: World, doctor: Doctor, spoil: str, says: str) -> None:
    """Told without writing anything there."""
    need("unshare", "mount")
    path = world.home / ".docker"
    mount = f'mount -t tmpfs -o size=64k,mode=700 tmpfs "$1" && {{ {spoil} 2>/dev/null; shift; exec "$@"; }}'
    world.here.before = (str(shutil.which("unshare")), "--mount", "sh", "-c", mount, "sh", str(path))
    world.prepare()
    link = blamed(doctor, world.good.hostname, "configuration", "config_unwritable", common=True)
    assert says in link["seen"]
    assert link["fix"]


def test_secrets_service_down(world: World, doctor: Doctor) -> None:
    """The address is named, and that an administrator must look."""
    alone(world)
    listener = world.serve(PretendRegistry(None).handle)
    world.down(listener)
    world.prepare({"secrets": {"url": f"{listener.url}/v1/secrets?key=open-sesame"}})
    link = blamed(doctor, world.good.hostname, "secrets", "secrets_unavailable", common=True)
    assert listener.url in link["seen"]
    assert link["needs"] == "admin"
    assert "open-sesame" not in json.dumps(link)


def test_a_token_of_ecr_is_lived_through(world: World, doctor: Doctor) -> None:
    """Who got it, for how long, and that the registry takes it."""
    aws = world.aws(token_life_s=43200)
    door = world.ecr(aws)
    world.prepare()
    told = doctor(door.hostname)
    outcomes = told.outcomes(door.hostname)
    assert {outcomes[name] for name in ("aws identity", "token", "token life", "login")} == {"ok"}, told.document
    assert "12.0 h" in told.link("token life", door.hostname)["seen"]
    assert REGION in told.link("token", door.hostname)["seen"]
