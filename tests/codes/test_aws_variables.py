"""Variables of AWS that are there without a value."""

from tests.codes.profiles import Profiles
from tests.codes.world import World


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
