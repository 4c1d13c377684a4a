"""A login while the clocks disagree: the wall clock, the machine's own, and what servers have confirmed."""

from datetime import timedelta

import pytest

from agent.model.login_events import Failed, Now, Remove, Report, Succeeded, Woken
from agent.model.login_state import Decision, decide
from agent.model.problem import Problem
from agent.model.status import State
from tests.fakes import EPOCH
from tests.model.login_states import DOWN, ENDED, FAILING, HOST, HOUR, RULES, SKEW, STATES, URGENT, hours


def clocks(wall_h: float, machine_h: float, proven_h: float | None, *, off: bool = False) -> Now:
    proven = EPOCH + hours(proven_h) if proven_h is not None else None
    return Now(EPOCH + hours(wall_h), machine_h * HOUR, proven, off)


def fails(now: Now) -> Decision:
    """The renewal of a token that ends after 12 h."""
    return decide(STATES["renewing"], Failed(DOWN, hours(24)), now, RULES)


@pytest.mark.parametrize(
    ("now", "status", "shown", "removed", "wakes_s"),
    [
        (clocks(11, 6, 6, off=True), State.LOGGED_IN, FAILING, False, 5 * HOUR),
        (clocks(6, 6, 11.5, off=True), State.LOGGED_IN, URGENT, False, HOUR / 2),
        (clocks(6, 6, None, off=True), State.LOGGED_IN, FAILING, False, 300),
        (clocks(30, 6, 11, off=True), State.LOGGED_IN, URGENT, False, HOUR),
        (clocks(13, 6, None), State.EXPIRED, ENDED, False, 300),
        (clocks(6, 13, None), State.EXPIRED, ENDED, False, 300),
        (clocks(13, 13, 12 - 60 / HOUR), State.EXPIRED, ENDED, False, 60),
        (clocks(6, 6, 12), State.EXPIRED, ENDED, True, 0),
        (clocks(6, 6, 12, off=True), State.EXPIRED, ENDED, True, 0),
        (clocks(12, 12, 12), State.EXPIRED, ENDED, True, 0),
        (clocks(12 - 1 / HOUR, 11, 11), State.LOGGED_IN, URGENT, False, 1),
    ],
)
def test_a_token_counts_as_ended_by_the_clock_that_can_be_right(
    now: Now, status: State, shown: Problem, removed: bool, wakes_s: float
) -> None:
    """It is removed only if its end is proven. While a server contradicts the wall clock, that one does not count."""
    decision = fails(now)
    assert decision.state.status is status
    assert decision.actions == (Report((DOWN, shown)), *((Remove(),) if removed else ()))
    assert decision.wake_at is not None
    assert now.until(decision.wake_at) == pytest.approx(wakes_s)


def test_a_wall_clock_that_is_set_back_makes_a_token_valid_again() -> None:
    """The warnings follow, although no attempt was made."""
    ended = fails(clocks(13, 6, None)).state
    again = decide(ended, Woken("x"), clocks(6, 6, None), RULES)
    assert (again.state.status, again.actions) == (State.LOGGED_IN, (Report((DOWN, FAILING)),))
    still = decide(ended, Woken("x"), clocks(13, 6, None), RULES)
    assert (still.state, still.actions) == (ended, ())


@pytest.mark.parametrize("back_after_h", [7, 13])
def test_a_token_still_ends_after_the_clock_could_not_be_believed(back_after_h: int) -> None:
    """Nothing was proven at the failure. The login looks again by itself, whether the clock is right before the end."""
    decision = fails(clocks(6, 6, None, off=True))
    now = clocks(back_after_h, back_after_h, back_after_h)
    while now.wall < EPOCH + hours(14):
        assert decision.wake_at is not None
        decision = decide(decision.state, Woken("x"), now, RULES)
        assert (decision.state.status is State.EXPIRED) == (now.wall >= EPOCH + hours(12))
        hour = (now.wall - EPOCH) / hours(1) + max(now.until(decision.wake_at or now.after(hours(0))), 60) / HOUR
        now = clocks(hour, hour, hour)


def test_a_token_that_works_past_its_end_is_checked_often_and_then_less_often() -> None:
    """The registry's clock may be a little behind. Between the first wait and the longest."""
    for late, wait_s in ((timedelta(), 1), (timedelta(seconds=30), 30), (timedelta(hours=2), 300)):
        now = clocks(0, 0, None)
        decision = decide(STATES["attempting"], Succeeded(now.wall - late), now, RULES)
        assert decision.state.renewal is None
        assert decision.state.reattempt == now.after(timedelta(seconds=wait_s))
        assert decision.wake_at == decision.state.reattempt


def test_a_clock_that_is_off_causes_another_attempt_and_no_early_end() -> None:
    """The next answer of the registry shows whether it is right again."""
    now = clocks(0, 0, None)
    event = Succeeded(now.wall + hours(12), now.wall + hours(6), problems=(SKEW,))
    decision = decide(STATES["attempting"], event, now, RULES)
    assert decision.actions == (Report((SKEW,)),)
    assert (decision.state.hostname, decision.state.clock_is_off) == (HOST, True)
    assert decision.state.renewal == now.after(hours(6))
    assert decision.wake_at == now.after(RULES.max_wait)
