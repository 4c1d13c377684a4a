"""AWS profiles that need a person, and the actions of that person."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.codes.causes import causes
from tests.codes.profiles import DEVICE, Profiles
from tests.codes.world import REGION, World


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
