"""AWS profiles that need a person, and the actions of that person. Each test has its own profile."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest

from agent.demo.listener import Listener
from tests.codes.causes import causes
from tests.codes.profiles import DEVICE, Profiles
from tests.codes.world import REGION, World
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.sso import SsoPortal
from tests.scenarios.aws import TOKEN_CALL

NUMBERS: Final = itertools.count()


@pytest.fixture(scope="module")
def aws(shared: World) -> PretendAws:
    """The AWS of the agent that all tests share."""
    return shared.aws()


@pytest.fixture(scope="module")
def portal(shared: World, aws: PretendAws) -> tuple[Listener, SsoPortal]:
    """The SSO portal, and the address where it listens. Starts the agent."""
    portal = Profiles(shared, aws).portal()
    shared.start()
    return portal


@pytest.fixture
def profiles(portal: tuple[Listener, SsoPortal], shared: World, aws: PretendAws) -> Profiles:  # noqa: ARG001 - it starts the agent
    """Their name is in the settings. The agent has no token of it yet."""
    profiles = Profiles(shared, aws, f"team-{next(NUMBERS)}")
    shared.set(aws={"profile": profiles.name})
    return profiles


@pytest.fixture
def world(profiles: Profiles, shared_world: World) -> World:  # noqa: ARG001 - which its agent uses
    return shared_world


@causes("aws_credentials_missing")
@pytest.mark.parametrize("setup", [Profiles.mfa, Profiles.nested_mfa])
def test_a_profile_that_needs_an_mfa_code(
    world: World, aws: PretendAws, profiles: Profiles, setup: Callable[[Profiles], None]
) -> None:
    """The warning names the profile, the device and a command that helps. Another profile is used at once."""
    setup(profiles)
    door = world.ecr(aws)
    warning = world.raised(
        "aws_credentials_missing", door.hostname, says=f"profile {profiles.name} needs an MFA code from {DEVICE}"
    )
    assert warning["needs"] == "user"
    assert f"`AWS_DEFAULT_REGION={REGION} aws sts get-caller-identity --profile {profiles.name}`" in warning["hint"]
    assert f"`registry-agent renew {door.hostname}`" in warning["hint"]
    profiles.keys()
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_credentials_missing", door.hostname)


@causes("aws_credentials_missing")
@pytest.mark.parametrize("setup", [Profiles.sso, Profiles.legacy_sso, Profiles.nested_sso])
def test_a_profile_that_needs_an_sso_login(
    world: World,
    aws: PretendAws,
    portal: tuple[Listener, SsoPortal],
    profiles: Profiles,
    setup: Callable[[Profiles], None],
) -> None:
    """The login of `aws sso login` has expired. The agent uses the next one at once, however long it would wait."""
    setup(profiles)
    world.set(aws={"profile": profiles.name}, retry={"first_wait_s": 3600, "max_wait_s": 3600})
    profiles.log_in(portal[1], timedelta(hours=-1))
    door = world.ecr(aws)
    warning = world.raised("aws_credentials_missing", door.hostname, says=f"profile {profiles.name} needs an SSO login")
    assert warning["needs"] == "user"
    profile = "base" if setup is Profiles.nested_sso else profiles.name
    assert warning["hint"] == (
        f"run `aws sso login --profile {profile}`, then run `registry-agent renew {door.hostname}`"
    )
    profiles.log_in(portal[1])
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_credentials_missing", door.hostname)


@pytest.mark.parametrize("setup", [Profiles.sso, Profiles.nested_sso])
def test_an_sso_login_whose_cache_cannot_be_written(
    world: World,
    aws: PretendAws,
    portal: tuple[Listener, SsoPortal],
    profiles: Profiles,
    setup: Callable[[Profiles], None],
) -> None:
    """As in the systemd service and in a container. The access token is renewed, and used until its own end."""
    setup(profiles)
    profiles.log_in(portal[1], timedelta(hours=-1), refreshable=True)
    renewals, tokens, mode = portal[1].renewals, aws.count(TOKEN_CALL), profiles.sso_cache.stat().st_mode
    profiles.sso_cache.chmod(0o500)
    try:
        door = world.ecr(aws)
        world.well_again(door.hostname)
        assert world.agent.renew(door.hostname)["last_error"] is None
    finally:
        profiles.sso_cache.chmod(mode)
    assert aws.count(TOKEN_CALL) >= tokens + 2
    assert portal[1].renewals == renewals + 1


@causes("aws_unreachable")
def test_an_sso_portal_that_cannot_be_reached(
    world: World, aws: PretendAws, portal: tuple[Listener, SsoPortal], profiles: Profiles
) -> None:
    """The SSO login is valid, so the warning does not ask for a new one."""
    profiles.sso()
    listener, sso = portal
    profiles.log_in(sso)
    world.down(listener)
    door = world.ecr(aws)
    says = f"sso:GetRoleCredentials did not reach {listener.address}"
    world.raised("aws_unreachable", door.hostname, says=says)
    world.up(listener)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_unreachable", door.hostname)


@causes("aws_credentials_missing")
@pytest.mark.parametrize("name", ["config", "credentials"])
def test_an_aws_file_that_cannot_be_read(world: World, aws: PretendAws, profiles: Profiles, name: str) -> None:
    """The user owns the file, so the hint is the user's command, and no administrator is needed."""
    if name == "config":
        profiles.keys()
    profiles.teams(profiles.name if name == "credentials" else "other")
    path = world.home / ".aws" / name
    path.chmod(0)
    door = world.ecr(aws)
    warning = world.raised("aws_credentials_missing", door.hostname, says=f"{path} cannot be read: permission denied")
    assert (warning["needs"], warning["hint"]) == ("user", f"run `chmod u+r {path}`")
    path.chmod(0o600)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_credentials_missing", door.hostname)


@causes("aws_credentials_missing")
def test_a_credential_process_that_is_missing(world: World, aws: PretendAws, profiles: Profiles) -> None:
    """The message names the program of the profile. It is used as soon as it is there."""
    program = profiles.program("issue-keys")
    door = world.ecr(aws)
    warning = world.raised("aws_credentials_missing", door.hostname, says=f"credential_process {program} cannot be run")
    assert (warning["needs"], str(program) in warning["hint"]) == ("user", True)
    profiles.write_program(program)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_credentials_missing", door.hostname)


@causes("aws_access_denied")
def test_expired_keys_in_a_profile(world: World, aws: PretendAws, profiles: Profiles) -> None:
    """Only the user can replace them, and the IAM console has no such keys."""
    profiles.keys()
    aws.fail(TOKEN_CALL, "expired_credentials")
    door = world.ecr(aws)
    warning = world.raised("aws_access_denied", door.hostname, says="the session of the keys has expired")
    assert (warning["needs"], f"in profile {profiles.name} of ~/.aws" in warning["hint"]) == ("user", True)
    assert "IAM" not in warning["hint"]
    aws.heal()
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_access_denied", door.hostname)


def test_a_profile_for_each_registry(world: World, aws: PretendAws, profiles: Profiles) -> None:
    """Each team has its own account. The secret names the profile, and no other secret field is needed."""
    profiles.teams("payments", "search")
    doors = {name: world.ecr(aws, name, profile=name) for name in ("payments", "search")}
    world.well_again(*(door.hostname for door in doors.values()))
    for name, door in doors.items():
        row = world.agent.registry(door.hostname)
        assert row is not None
        assert row["identity"].endswith(f":user/{name}")
