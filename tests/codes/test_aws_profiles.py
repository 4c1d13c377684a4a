"""AWS profiles that need a person, and the actions of that person."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.codes.causes import causes
from tests.codes.profiles import DEVICE, Profiles
from tests.codes.world import REGION, World
from tests.scenarios.aws import TOKEN_CALL


@causes("aws_credentials_missing")
@pytest.mark.parametrize("setup", [Profiles.mfa, Profiles.nested_mfa])
def test_a_profile_that_needs_an_mfa_code(world: World, setup: Callable[[Profiles], None]) -> None:
    """The warning names the profile, the device and a command that helps. Another profile is used at once."""
    aws = world.aws()
    profiles = Profiles(world, aws)
    setup(profiles)
    door = world.ecr(aws)
    world.start({"aws": {"profile": "team"}})
    warning = world.raised(
        "aws_credentials_missing", door.hostname, says=f"profile team needs an MFA code from {DEVICE}"
    )
    assert warning["needs"] == "user"
    assert f"`AWS_DEFAULT_REGION={REGION} aws sts get-caller-identity --profile team`" in warning["hint"]
    assert f"`registry-agent renew {door.hostname}`" in warning["hint"]
    profiles.keys()
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_credentials_missing", door.hostname)


@causes("aws_credentials_missing")
@pytest.mark.parametrize("setup", [Profiles.sso, Profiles.legacy_sso, Profiles.nested_sso])
def test_a_profile_that_needs_an_sso_login(world: World, setup: Callable[[Profiles], None]) -> None:
    """The login of `aws sso login` has expired. The agent uses the next one by itself."""
    aws = world.aws()
    profiles = Profiles(world, aws)
    setup(profiles)
    token = profiles.portal()
    profiles.keep_sso_token(token, timedelta(hours=-1))
    door = world.ecr(aws)
    world.start({"aws": {"profile": "team"}})
    warning = world.raised("aws_credentials_missing", door.hostname, says="profile team needs an SSO login")
    assert warning["needs"] == "user"
    profile = "base" if setup is Profiles.nested_sso else "team"
    assert warning["hint"] == (
        f"run `aws sso login --profile {profile}`, then run `registry-agent renew {door.hostname}`"
    )
    profiles.keep_sso_token(token)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_credentials_missing", door.hostname)


@causes("aws_unreachable")
def test_an_sso_portal_that_cannot_be_reached(world: World) -> None:
    """The SSO login is valid, so the warning does not ask for a new one."""
    aws = world.aws()
    profiles = Profiles(world, aws)
    profiles.sso()
    profiles.keep_sso_token(profiles.portal())
    world.env["AWS_ENDPOINT_URL_SSO"] = "http://127.0.0.1:1"
    door = world.ecr(aws)
    world.start({"aws": {"profile": "team"}})
    world.raised("aws_unreachable", door.hostname, says="sso:GetRoleCredentials did not reach 127.0.0.1:1")
    profiles.keys()
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_unreachable", door.hostname)


@causes("aws_credentials_missing")
@pytest.mark.parametrize("name", ["config", "credentials"])
def test_an_aws_file_that_cannot_be_read(world: World, name: str) -> None:
    """The user owns the file, so the hint is the user's command, and no administrator is needed."""
    aws = world.aws()
    profiles = Profiles(world, aws)
    profiles.keys()
    profiles.teams("other")
    path = world.home / ".aws" / name
    path.chmod(0)
    door = world.ecr(aws)
    world.start({"aws": {"profile": "team" if name == "config" else "other"}})
    warning = world.raised("aws_credentials_missing", door.hostname, says=f"{path} cannot be read: permission denied")
    assert (warning["needs"], warning["hint"]) == ("user", f"run `chmod u+r {path}`")
    path.chmod(0o600)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_credentials_missing", door.hostname)


@causes("aws_credentials_missing")
def test_a_credential_process_that_is_missing(world: World) -> None:
    """The message names the program of the profile. It is used as soon as it is there."""
    aws = world.aws()
    profiles = Profiles(world, aws)
    program = profiles.program("issue-keys")
    door = world.ecr(aws)
    world.start({"aws": {"profile": "team"}})
    warning = world.raised("aws_credentials_missing", door.hostname, says=f"credential_process {program} cannot be run")
    assert (warning["needs"], str(program) in warning["hint"]) == ("user", True)
    profiles.write_program(program)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_credentials_missing", door.hostname)


@causes("aws_access_denied")
def test_expired_keys_in_a_profile(world: World) -> None:
    """Only the user can replace them, and the IAM console has no such keys."""
    aws = world.aws()
    Profiles(world, aws).keys()
    aws.fail(TOKEN_CALL, "expired_credentials")
    door = world.ecr(aws)
    world.start({"aws": {"profile": "team"}})
    warning = world.raised("aws_access_denied", door.hostname, says="the session of the keys has expired")
    assert (warning["needs"], "in profile team of ~/.aws" in warning["hint"]) == ("user", True)
    assert "IAM" not in warning["hint"]
    aws.heal()
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_access_denied", door.hostname)


def test_a_profile_for_each_registry(world: World) -> None:
    """Each team has its own account. The secret names the profile, and no other secret field is needed."""
    aws = world.aws()
    Profiles(world, aws).teams("payments", "search")
    doors = {name: world.ecr(aws, name, profile=name) for name in ("payments", "search")}
    world.start({"aws": {"profile": "not-there"}})
    world.well_again(*(door.hostname for door in doors.values()))
    for name, door in doors.items():
        row = world.agent.registry(door.hostname)
        assert row is not None
        assert row["identity"].endswith(f":user/{name}")


def test_variables_that_are_set_and_empty(world: World) -> None:
    """A dev container sets `AWS_PROFILE=` if the host has none. It counts as not set, also for docker."""
    aws = world.aws()
    Profiles(world, aws).teams("default")
    door = world.ecr(aws)
    names = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy")
    uris = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ROLE_ARN")
    world.env.update(dict.fromkeys((*names, *uris, "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONFIG_FILE", "no_proxy"), ""))
    world.start()
    world.well_again(door.hostname)
