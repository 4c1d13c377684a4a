"""AWS identities that are not available. The agent has one base identity, so the faults happen one by one."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.codes.causes import causes
from tests.codes.programs import script
from tests.codes.sources import PLAIN
from tests.codes.world import REGION, Door, World
from tests.fakecloud.aws import PretendAws
from tests.scenarios.aws import ROLE

_CALL_S: Final = {"call_timeout_s": 2}


class Cloud:
    """The AWS of the module's agent, and the network path to it."""

    def __init__(self, world: World) -> None:
        self.aws: Final = PretendAws(region=REGION, token_life_s=12 * 3600)
        self.way: Final = world.serve(self.aws.handle)
        world.point_to_aws(self.aws, self.way)
        self._world: Final = world

    def fix(self, door: Door, code: str) -> None:
        self.aws.heal()
        self._world.agent.wait_logged_in(door.hostname)
        self._world.cleared(code, door.hostname)


@pytest.fixture(scope="module")
def cloud(shared: World) -> Cloud:
    """Each test uses its own profile without keys, so the SDK asks the metadata service again."""
    config = shared.home / "aws-config"
    config.write_text("".join(f"[profile {profile}]\nregion = {REGION}\n" for profile in INSTANCE))
    shared.env["AWS_CONFIG_FILE"] = str(config)
    cloud = Cloud(shared)
    shared.start()
    return cloud


@pytest.fixture
def world(cloud: Cloud, shared_world: World) -> Iterator[World]:  # noqa: ARG001 - which has started it
    yield shared_world
    shared_world.set()


INSTANCE: Final = {
    "no-role": ("imds:credentials", "not_found"),
    "no-session-token": ("imds:token", "silent"),
    "no-answer": ("imds:credentials", "silent"),
    "connection-reset": ("imds:token", "reset"),
    "invalid-answer": ("imds:credentials", "garbage"),
}


@causes("aws_credentials_missing")
@pytest.mark.parametrize("profile", INSTANCE, ids=lambda profile: profile.replace("-", " "))
def test_no_instance_role(world: World, cloud: Cloud, profile: str) -> None:
    """The message names the places that were tried. The hint mentions the hop limit."""
    cloud.aws.fail(*INSTANCE[profile])
    world.set(aws={**_CALL_S, "profile": profile})
    door = world.ecr(cloud.aws)
    warning = world.raised("aws_credentials_missing", door.hostname, says="metadata")
    assert "hop limit" in warning["hint"]
    cloud.fix(door, "aws_credentials_missing")


def _missing(_path: Path) -> None: ...


def _empty(path: Path) -> None:
    path.write_text("\n")


def _unreadable(path: Path) -> None:
    path.touch(mode=0)


def _a_directory(path: Path) -> None:
    path.mkdir()


@causes("aws_identity_unavailable")
@pytest.mark.parametrize("spoil", [_missing, _empty, _unreadable, _a_directory])
def test_an_unusable_web_identity_token_file(world: World, cloud: Cloud, spoil: Callable[[Path], None]) -> None:
    """The message names the file. A token that is written later is used."""
    token = world.sources.secret("web identity", PLAIN)
    cloud.aws.web_identities[token] = "workspace"
    path = world.sources.directory / f"token{spoil.__name__}"
    spoil(path)
    world.set(aws={**_CALL_S, "identity_token_file": str(path)})
    door = world.ecr(cloud.aws, role_arn=ROLE)
    world.raised("aws_identity_unavailable", door.hostname, says=str(path))
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_text(f"{token}\n")
    cloud.fix(door, "aws_identity_unavailable")


@causes("aws_identity_unavailable")
@pytest.mark.parametrize(
    ("does", "says"),
    [("exit 3", "status 3"), ("kill -9 $$", "signal 9"), ("true", "empty"), ("sleep 60", "2 s"), (None, "no such")],
    ids=["fails", "killed", "prints nothing", "hangs", "missing"],
)
def test_a_failing_web_identity_token_command(world: World, cloud: Cloud, does: str | None, says: str) -> None:
    """The message names the command and what it did."""
    token = world.sources.secret("web identity", PLAIN)
    cloud.aws.web_identities[token] = "workspace"
    command = world.sources.directory / f"idp-token-{re.sub('[^a-z]', '', says)}"
    if does is not None:
        script(command, does)
    world.set(aws={**_CALL_S, "identity_token_command": [str(command)]})
    door = world.ecr(cloud.aws, role_arn=ROLE)
    world.raised("aws_identity_unavailable", door.hostname, says=says)
    script(command, f"echo '{token}'")
    cloud.fix(door, "aws_identity_unavailable")


@causes("aws_unreachable")
def test_aws_refuses_the_connection(world: World, cloud: Cloud) -> None:
    """The network path to AWS is closed, and opened again."""
    world.down(cloud.way)
    user = cloud.aws.add_user("ci")
    door = world.ecr(cloud.aws, username=user.access_key_id, password=user.secret_access_key)
    world.raised("aws_unreachable", door.hostname)
    world.up(cloud.way)
    cloud.fix(door, "aws_unreachable")
