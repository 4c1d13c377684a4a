"""Wrong clocks and machines that sleep. faketime moves the clock of one agent for all tests."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest

from tests.codes.causes import causes
from tests.codes.world import Door, World
from tests.fakecloud.aws import PretendAws
from tests.rig.moved_clock import MovedClock

SetClock = Callable[[timedelta], None]
CALL: Final = "ecr:GetAuthorizationToken"
YEAR: Final = timedelta(days=365)
_DAY: Final = timedelta(days=1)
_TICK_S: Final = 60.0


@pytest.fixture(scope="module")
def set_clock(shared: World, tmp_path_factory: pytest.TempPathFactory) -> SetClock:
    """Returns a function that moves only the wall clock of the agent. Its monotonic clock continues."""
    clock = MovedClock(tmp_path_factory.mktemp("clock"))
    shared.env.update(clock.environment)
    return clock.set


@pytest.fixture(scope="module")
def aws(shared: World) -> PretendAws:
    return shared.aws(token_life_s=12 * 3600)


@pytest.fixture(scope="module")
def door(shared: World, aws: PretendAws, set_clock: SetClock) -> Door:  # noqa: ARG001 - which is in its environment
    user = aws.add_user("ci")
    door = shared.ecr(aws, username=user.access_key_id, password=user.secret_access_key)
    shared.steady_clock = False
    shared.start()
    shared.agent.wait_logged_in(door.hostname)
    shared.nothing_stopped()
    return door


@pytest.fixture
def world(door: Door, shared_world: World) -> World:  # noqa: ARG001 - which has started it
    return shared_world


@causes("clock_skew")
@pytest.mark.parametrize(
    "by",
    [timedelta(minutes=20), _DAY, YEAR, -timedelta(minutes=20), -_DAY, -YEAR],
    ids=["20 minutes ahead", "a day ahead", "a year ahead", "20 minutes back", "a day back", "a year back"],
)
def test_the_clock_is_wrong(world: World, door: Door, set_clock: SetClock, by: timedelta) -> None:
    """AWS refuses the next call, and the message shows the difference. With the right time, the token is renewed."""
    set_clock(by)
    world.agent.command("renew", door.hostname)
    world.raised("clock_skew", door.hostname, timeout=_TICK_S)
    set_clock(timedelta())
    world.cleared("clock_skew", door.hostname, timeout=_TICK_S)
    world.agent.wait_logged_in(door.hostname)


@pytest.mark.parametrize("slept", [timedelta(hours=9), timedelta(days=9)], ids=["a night", "nine days"])
def test_the_machine_is_suspended(
    world: World, aws: PretendAws, door: Door, set_clock: SetClock, slept: timedelta
) -> None:
    """The jump is counted, and a token whose renewal was due during the sleep is renewed at once."""
    before, jumps = aws.count(CALL), world.agent.status()["clock"]["jumps"]
    aws.clock_offset += slept
    set_clock(aws.clock_offset)
    world.agent.wait_for("the jump's notice", lambda s: s["clock"]["jumps"] > jumps, _TICK_S)
    world.agent.wait_for("a new token", lambda _: aws.count(CALL) > before, _TICK_S)
    world.well_again(door.hostname)
