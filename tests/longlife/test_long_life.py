"""Days of an environment's life, simulated in seconds: the agent's own scheduling on a clock that skips waits.

`make torture` simulates ten weeks with the same checks.
"""

import pytest

from tests.longlife.life import assert_no_growth, life


def test_four_days_without_an_expired_login_and_without_growth() -> None:
    """With a suspend every night, an AWS outage and a rotated secret per day, logins work whenever possible.

    No server is asked more often than the rules allow, no refused password is tried too early, and no memory grows.
    """
    with life(seed=20260105) as (environment, loop):
        figures = loop.run_until_complete(environment.live(4))
    assert figures.outages_h
    assert environment.agent.board.snapshot.clock.jumps == figures.suspends - 1 >= 3
    assert_no_growth(figures)


def test_a_refusal_survives_restarts() -> None:
    """The agent restarts a minute after each new secret. A refused secret is not tried too early because of that."""
    with life(seed=7) as (environment, loop):
        figures = loop.run_until_complete(environment.live(3, restarts=True))
    assert figures.rotations >= 3


def test_the_checks_detect_an_agent_that_reacts_late() -> None:
    """An agent that notices a suspend only at its next tick keeps an expired login for too long."""
    with life(seed=1) as (environment, loop):
        environment.agent.logins.wake = lambda _hostname=None: None  # type: ignore[method-assign, assignment]
        with pytest.raises(AssertionError, match="an expired login for"):
            loop.run_until_complete(environment.live(14))
