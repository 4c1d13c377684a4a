"""Before the agent runs, the doctor finds what the agent is going to report, in the same words."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.codes.servers import ControlPlane
from tests.codes.world import REGION, Door, Sections, World
from tests.doctor.machine import Doctor
from tests.rig.helper import NAME
from tests.scenarios.other_clouds import OtherClouds


def _command_from_url(world: World) -> Sections:
    """The only secret is a command that somebody else may have chosen."""
    (world.agent.secrets / "good.json").unlink()
    secret = {"name": "remote", "hostname": world.good.hostname, "username": "ada", "password_command": ["/bin/true"]}
    world.good_state = "unknown"
    return {"secrets": {"url": f"{world.serve(ControlPlane([secret]).handle).url}/secrets"}}


def _better_secret(world: World) -> Sections:
    """Another secret of the same registry takes precedence, and cannot be used."""
    world.agent.give("a-better-one", world.good.hostname, username="runner-native")
    return {}


def _damaged_state(world: World) -> Sections:
    (world.agent.state / "state.json").write_text("{")
    return {}


def _no_helper(world: World) -> Sections:
    """The helper is not on PATH. It is next to the programs of the tests, if these are on PATH."""
    directories = world.env["PATH"].split(":")
    world.env["PATH"] = ":".join(each for each in directories if not Path(each, NAME).exists())
    return {"docker": {"store": "helper"}}


def _token_file(world: World) -> Sections:
    return {"status": {"token_file": str(world.home / "missing")}}


FAULTS: Final = {
    "command": (_command_from_url, "secret", "secret_invalid"),
    "better secret": (_better_secret, "secret", "native_unsupported"),
    "state": (_damaged_state, "configuration", "state_unusable"),
    "helper": (_no_helper, "configuration", "helper_unavailable"),
    "token file": (_token_file, "settings", "settings_invalid"),
}


@pytest.mark.parametrize(("cause", "check", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_finds_what_the_agent_is_going_to_report(
    world: World, doctor: Doctor, cause: Callable[[World], Sections], check: str, code: str
) -> None:
    """The check is broken, so the exit code is not 0."""
    world.prepare(cause(world))
    told = doctor()
    [link] = [link for link in told.all_links() if link["outcome"] == "broken" and link["code"]]
    world.agent.start()
    status = world.agent.wait_for(code, lambda status: any(each["code"] == code for each in status["warnings"]))
    [warning] = [each for each in status["warnings"] if each["code"] == code]
    assert link["name"] == check
    assert (link["code"], link["seen"], link["fix"]) == (code, warning["message"], warning["hint"])
    assert "no check failed" not in doctor.words()


def test_shows_a_notice_about_a_secret_without_failing(world: World, doctor: Doctor) -> None:
    """Two secrets serve one registry. The status has a notice about the one that is not used."""
    world.agent.give("z-other", world.good.hostname, username="ada", password="any-other")
    world.start().wait_logged_in(world.good.hostname)
    told = doctor()
    assert [link["code"] for link in told.links("secrets")] == [None, "secret_shadowed"]
    assert told.code == 0


def _gar(world: World) -> Door:
    clouds = OtherClouds.of(world)
    return clouds.gar(clouds.new_account())


def _acr(world: World) -> Door:
    return OtherClouds.of(world).acr()[0]


def _ready_token(world: World) -> Door:
    return world.registry("ready", secret={"username": "AWS", "password": "a-token", "kind": "ecr", "region": REGION})


def _ecr(world: World) -> Door:
    return world.ecr(world.aws())


@pytest.mark.parametrize(
    ("source", "code"),
    [(_gar, None), (_acr, None), (_ready_token, None), (_ecr, "aws_cli_missing")],
    ids=["gar", "acr", "ready token", "ecr"],
)
def test_misses_the_aws_cli_only_if_a_login_asks_aws(
    world: World, doctor: Doctor, source: Callable[[World], Door], code: str | None
) -> None:
    """As the status does, with the same message."""
    source(world)
    programs = world.home / "only-docker"
    programs.mkdir()
    (programs / "docker").symlink_to(str(shutil.which("docker")))
    world.prepare(PATH=str(programs))
    link = doctor().link("aws cli")
    assert (link["outcome"], link["code"]) == ("skipped", code)
    if code is not None:
        world.agent.start()
        world.raised(code, "aws", says=link["seen"])
