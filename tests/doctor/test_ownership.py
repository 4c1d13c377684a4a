"""What only the agent has: its state, and the identity with which it gets a token or password."""

import json
from collections.abc import Callable
from typing import Final

import pytest

from agent.demo.registries import BasicAuth
from tests.codes.programs import script
from tests.codes.world import LOGIN, PERSON, USER, USERS, Door, World
from tests.doctor.machine import Doctor
from tests.scenarios.other_clouds import OtherClouds
from tests.scenarios.passwords import right


def _gar(world: World) -> Door:
    clouds = OtherClouds.of(world)
    return clouds.gar(clouds.new_account())


def _acr(world: World) -> Door:
    return OtherClouds.of(world).acr()[0]


def _file(world: World) -> Door:
    return world.registry(
        "file", BasicAuth({**USERS, **PERSON}), {"username": USER, "password_file": str(right(world))}
    )


def _command(world: World) -> Door:
    """The command gives the user name too. It needs the agent's metadata server, as the aws CLI does."""
    login = world.sources.directory / "login.json"
    login.write_text(json.dumps(LOGIN))
    program = world.home / "give"
    script(program, f'test -z "$AWS_EC2_METADATA_DISABLED" && cat {login}')
    return world.registry("command", secret={"password_command": [str(program)]})


def _ecr(world: World) -> Door:
    return world.ecr(world.aws(token_life_s=43200))


NOWHERE: Final = "127.0.0.1:1"
SOURCES: Final = {"ecr": _ecr, "gar": _gar, "acr": _acr, "password_file": _file, "password_command": _command}
sources = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())


def start(world: World, state: str) -> None:
    """Start an agent that has its own state directory, as systemd gives one to a unit."""
    world.prepare()
    world.agent.env["STATE_DIRECTORY"] = state
    world.agent.start()


def start_without_state(world: World) -> None:
    """Start an agent that may not create its state directory."""
    locked = world.home / "locked"
    locked.mkdir(mode=0o500)
    start(world, str(locked / "state"))


def leave_unit(world: World) -> None:
    """Run later commands as in a user's shell: without the unit's variables, and with another state directory."""
    del world.agent.env["STATE_DIRECTORY"]
    world.agent.env["XDG_STATE_HOME"] = str(world.home / "elsewhere")


def assert_own_login(world: World, doctor: Doctor, hostname: str) -> None:
    """The login in use is the agent's own in the doctor, while the agent runs and after its end."""
    world.agent.wait_logged_in(hostname)
    leave_unit(world)
    report = doctor(hostname)
    assert (report.code, report.link("in use", hostname)["outcome"]) == (0, "ok"), report.document
    world.agent.end()
    assert doctor(hostname).link("in use", hostname)["outcome"] == "ok"


@sources
def test_agrees_with_an_agent_that_has_another_state_directory(
    world: World, doctor: Doctor, source: Callable[[World], Door]
) -> None:
    """As under systemd. The agent's login is its own, while it runs and after its end."""
    door = source(world)
    start(world, str(world.home / ".local/state/registry-agent"))
    assert_own_login(world, doctor, door.hostname)


@sources
def test_agrees_with_an_agent_that_has_no_state_directory(
    world: World, doctor: Doctor, source: Callable[[World], Door]
) -> None:
    """The running agent knows which login is its own. After its end, the user name shows it."""
    door = source(world)
    start_without_state(world)
    assert_own_login(world, doctor, door.hostname)


def test_a_persons_login_is_not_the_agents_if_the_status_says_so(world: World, doctor: Doctor) -> None:
    """The agent has no state directory, so only its status shows whose login it is."""
    door = _file(world)
    start_without_state(world)
    world.agent.wait_logged_in(door.hostname)
    [(person, password)] = PERSON.items()
    login = ("docker", "login", "--username", person, "--password-stdin", door.hostname)
    assert world.here.run(*login, env=world.agent.env, stdin=password).returncode == 0
    world.raised("login_overridden", door.hostname)
    assert doctor(door.hostname).link("in use", door.hostname)["code"] == "login_overridden"


def test_does_not_resend_a_password_that_the_agent_of_a_unit_was_refused(world: World, doctor: Doctor) -> None:
    """The refusal is in the unit's state directory, and no agent runs any more."""
    world.defaults["retry"] = {**world.defaults["retry"], "rejected_wait_s": 3600}
    door = world.registry("wrong", secret={"username": USER, "password": "not-it"})
    start(world, str(world.home / ".local/state/registry-agent"))
    world.raised("login_rejected", door.hostname)
    world.agent.end()
    leave_unit(world)
    refused = dict(door.registry.wrong)
    link = doctor(door.hostname).link("login", door.hostname)
    assert "next automatic attempt at" in link["seen"]
    assert door.registry.wrong == refused


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (_ecr, "aws_credentials_missing"),
        (_gar, "google_credentials_missing"),
        (_acr, "azure_credentials_missing"),
        (_command, "credential_command_failed"),
    ],
    ids=["ecr", "gar", "acr", "password_command"],
)
def test_an_identity_that_only_the_agent_has_is_well(
    world: World, doctor: Doctor, source: Callable[[World], Door], code: str
) -> None:
    """The doctor's shell gets no token or password, but the agent does, and Docker has its login."""
    door = source(world)
    world.start()
    world.agent.wait_logged_in(door.hostname)
    world.agent.env.update(
        AWS_EC2_METADATA_DISABLED="true",
        GCE_METADATA_HOST=NOWHERE,
        AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://{NOWHERE}",
    )
    report = doctor(door.hostname)
    assert (report.code, report.first) == (0, None), report.document
    world.agent.end()
    report = doctor(door.hostname)
    assert code in {link["code"] for link in report.all_links() if link["outcome"] == "broken"}, report.document
