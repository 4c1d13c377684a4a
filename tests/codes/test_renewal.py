"""A token that lives seconds, and what is said while it cannot be renewed."""

from typing import Final

from tests.codes.causes import causes
from tests.codes.world import World

CALL: Final = "ecr:GetAuthorizationToken"


@causes("renewal_failing", "aws_error")
def test_a_renewal_that_fails(world: World) -> None:
    """A warning beside the cause, and an error in the urgent window; the login stays, and works all the while."""
    aws = world.aws(token_life_s=8)
    door = world.ecr(aws)
    world.start({"renewal": {"min_interval_s": 0.5, "urgent_window_s": 2, "fraction": 0.25}})
    world.agent.wait_logged_in(door.hostname)
    aws.fail(CALL, "server_error")
    world.raised("renewal_failing", door.hostname, severity="warning")
    world.raised("aws_error", door.hostname)
    world.raised("renewal_failing", door.hostname, severity="error")
    world.agent.wait_logged_in(door.hostname)
    assert door.hostname in world.agent.docker_config()["auths"]
    aws.heal()
    world.cleared("renewal_failing", door.hostname)
    world.cleared("aws_error", door.hostname)


@causes("token_expired", "renewal_failing")
def test_a_login_that_has_expired(world: World) -> None:
    """It is taken out of Docker's configuration, nobody else's is, and it is back once AWS gives a token again."""
    aws = world.aws(token_life_s=3)
    door = world.ecr(aws)
    world.start()
    world.agent.wait_logged_in(door.hostname)
    aws.fail(CALL, "server_error")
    world.raised("renewal_failing", door.hostname, severity="error")
    world.raised("token_expired", door.hostname)
    expired = world.agent.wait_for("the state", lambda s: any(row["state"] == "expired" for row in s["registries"]))
    assert "renewal_failing" not in {warning["code"] for warning in expired["warnings"]}
    world.agent.wait_for("its end", lambda _: set(world.agent.docker_config()["auths"]) == {world.good.hostname})

    aws.token_life_s = 600
    aws.heal()
    world.agent.wait_logged_in(door.hostname)
    world.cleared("token_expired", door.hostname)
    world.cleared("renewal_failing", door.hostname)
    assert set(world.agent.docker_config()["auths"]) == {world.good.hostname, door.hostname}


def test_a_token_that_dies_before_its_time(world: World) -> None:
    """ECR's 403 "token has expired" fetches a new one at once, and is no `login_forbidden`."""
    aws = world.aws(token_life_s=3600)
    first = world.ecr(aws)
    world.start()
    world.agent.wait_logged_in(first.hostname)
    aws.tokens.end_all()
    second = world.ecr(aws, "second-ecr")
    status = world.agent.wait_logged_in(second.hostname)
    assert aws.count(CALL) == 2
    assert "login_forbidden" not in {warning["code"] for warning in status["warnings"] + status["cleared"]}
