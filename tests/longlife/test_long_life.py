"""Days of an environment's life, in seconds: the agent's own scheduling on a clock that leaps.

`make torture` lives ten weeks, with the same checks.
"""

import pytest

from tests.longlife.life import assert_no_growth, life


def test_four_days_without_an_expired_login_and_without_growth() -> None:
    """A suspend every night, an AWS outage, a rotated secret a day: no login stays dead while one is possible.

    No server is asked more often than the rules say, no refused password is tried before its time, nothing grows.
    """
    with life(seed=20260105) as (environment, loop):
        figures = loop.run_until_complete(environment.live(4))
    assert figures.outages_h
    assert environment.agent.board.snapshot.clock.jumps == figures.suspends - 1 >= 3
    assert_no_growth(figures)


def test_a_refusal_outlives_the_agent() -> None:
    """The agent begins anew a minute after each new secret: a refused one is not tried before its time for that."""
    with life(seed=7) as (environment, loop):
        figures = loop.run_until_complete(environment.live(3, restarts=True))
    assert figures.rotations >= 3


def test_an_agent_that_oversleeps_is_found_out() -> None:
    """The checks bite: an agent that hears of a suspend at its next tick only is too late with an expired login."""
    with life(seed=1) as (environment, loop):
        environment.agent.logins.wake = lambda: None  # type: ignore[method-assign]
        with pytest.raises(AssertionError, match="an expired login for"):
            loop.run_until_complete(environment.live(14))
