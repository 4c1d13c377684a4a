"""When a token is due, and how late it is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.problem import Severity
from agent.model.renewal import expired, renew_at, severity_of_failing, slack

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FLOOR = timedelta(seconds=5)


@pytest.mark.parametrize(("draw", "hours"), [(0, 6), (-1, 5.4), (1, 6.6)])
def test_a_token_is_renewed_at_half_life_give_or_take_a_tenth(draw: float, hours: float) -> None:
    """Twelve hours are renewed after 5.4 to 6.6."""
    assert renew_at(T0, T0 + 12 * HOUR, fraction=0.5, jitter=draw, floor=FLOOR) == T0 + hours * HOUR


@pytest.mark.parametrize("life", [timedelta(), timedelta(seconds=3), -10 * 365 * 24 * HOUR])
def test_a_token_born_expired_does_not_spin(life: timedelta) -> None:
    """The floor holds, also for a stand-in that always says 2015."""
    assert renew_at(T0, T0 + life, fraction=0.5, jitter=-1, floor=FLOOR) == T0 + FLOOR


@given(st.floats(0.01, 0.99), st.floats(-1, 1), st.integers(200, 86_400))
def test_no_fraction_and_no_draw_put_the_renewal_after_the_end(fraction: float, draw: float, seconds: int) -> None:
    """A token is renewed while it is good, and never more than a tenth from where the settings put it."""
    life = timedelta(seconds=seconds)
    due = renew_at(T0, T0 + life, fraction=fraction, jitter=draw, floor=FLOOR) - T0
    assert FLOOR <= due < life
    assert due == FLOOR or abs(due / life - fraction) <= 0.1 * fraction + 1e-6


@pytest.mark.parametrize(("age_h", "minutes"), [(6, 30), (7, 20), (8.4, 6), (9, 0), (11, 0), (12, 0), (20, 0)])
def test_a_good_token_can_spare_some_time(age_h: float, minutes: float) -> None:
    """A sixth of what is left before the last quarter of its life, and in that nothing."""
    assert slack(T0, T0 + 12 * HOUR, T0 + age_h * HOUR, HOUR) == timedelta(minutes=minutes)


def test_in_the_urgent_window_nothing_is_put_off() -> None:
    """Where `renewal.urgent_window_s` is longer than the last quarter it counts in its stead."""
    assert slack(T0, T0 + 12 * HOUR, T0 + 6 * HOUR, 5 * HOUR) == timedelta(minutes=10)
    assert slack(T0, T0 + 12 * HOUR, T0 + 7 * HOUR, 5 * HOUR) == timedelta()


def test_a_clock_set_back_lends_a_token_no_life() -> None:
    """A year before it was obtained it can spare what it could when it was new; born expired it can spare nothing."""
    assert slack(T0, T0 + 12 * HOUR, T0 - 8760 * HOUR, HOUR) == 1.5 * HOUR
    assert slack(T0, T0 - HOUR, T0 - 2 * HOUR, HOUR) == timedelta()


def test_a_token_is_dead_at_its_end() -> None:
    """To the second; what does not end is never dead."""
    assert not expired(T0 + HOUR, T0 + HOUR - timedelta(seconds=1))
    assert expired(T0 + HOUR, T0 + HOUR)
    assert not expired(None, T0)


def test_a_failing_renewal_is_an_error_in_the_last_hour() -> None:
    """Before it, a warning."""
    assert severity_of_failing(T0 + HOUR + FLOOR, T0, HOUR) is Severity.WARNING
    assert severity_of_failing(T0 + HOUR, T0, HOUR) is Severity.ERROR
    assert severity_of_failing(T0, T0 + HOUR, HOUR) is Severity.ERROR
