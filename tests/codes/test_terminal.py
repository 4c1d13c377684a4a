"""In a terminal of its own no command and no child ever prompts or reads what is typed, and every command ends."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codes.profiles import DEVICE, Profiles
from tests.codes.world import World
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.terminal import ControllingTerminal

TEAM = {"aws": {"profile": "team"}}


@pytest.fixture
def terminal() -> Iterator[ControllingTerminal]:
    with ControllingTerminal() as terminal:
        yield terminal


def command(world: World, *args: str) -> subprocess.CompletedProcess[str]:
    """Another command to its end, in a terminal of its own on which nothing may appear."""
    with ControllingTerminal() as terminal:
        process = subprocess.Popen(
            world.here.args([REGISTRY_AGENT, *args]),
            env=world.agent.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **terminal.popen,
        )
        try:
            out, err = process.communicate(timeout=50)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{args} does not end; on the terminal: {terminal.written()!r}") from None
        finally:
            process.kill()
            process.wait()
        assert terminal.written() == ""
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_a_profile_with_mfa_stops_nothing(world: World, terminal: ControllingTerminal) -> None:
    """The status answers all the while, the warning says what is wanted, and renew, doctor and --once end."""
    aws = world.aws()
    door = world.ecr(aws)
    Profiles(world, aws).mfa()
    world.prepare(TEAM).start(terminal)
    warning = world.raised("aws_credentials_missing", door.hostname)
    assert warning["message"] == f"profile team needs an MFA code from {DEVICE}"
    assert warning["needs"] == "user"
    config = ("--config", str(world.settings_file))
    renewed = command(world, "renew", door.hostname)
    assert (renewed.returncode, "MFA code" in renewed.stdout) == (2, True), renewed
    examined = command(world, "doctor", "--json", *config, door.hostname)
    (chain,) = json.loads(examined.stdout)["registries"]
    (link,) = [link for link in chain["links"] if link["name"] == "aws identity"]
    assert (link["code"], link["needs"], "MFA code" in link["seen"]) == ("aws_credentials_missing", "user", True)
    world.nothing_stopped()
    assert world.agent.end() == 0
    assert command(world, "run", "--once", *config).returncode == 2
    assert terminal.written() == ""
