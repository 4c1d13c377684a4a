"""When a token is renewed, and how urgent that is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.problem import Severity
from agent.model.renewal import expired, renew_at, severity_of_failing, slack

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FLOOR = timedelta(seconds=5)


@pytest.mark.parametrize(("jitter", "hours"), [(0, 6), (-1, 5.4), (1, 6.6)])
def test_a_token_is_renewed_at_half_of_its_life_within_ten_percent(jitter: float, hours: float) -> None:
    """A 12-hour token is renewed after 5.4 to 6.6 hours."""
    assert renew_at(T0, T0 + 12 * HOUR, fraction=0.5, jitter=jitter, floor=FLOOR) == T0 + hours * HOUR


@pytest.mark.parametrize("life", [timedelta(), timedelta(seconds=3), -10 * 365 * 24 * HOUR])
def test_a_token_that_is_issued_expired_causes_no_busy_loop(life: timedelta) -> None:
    """The minimum interval applies, also for an emulator whose tokens always expired in 2015."""
    assert renew_at(T0, T0 + life, fraction=0.5, jitter=-1, floor=FLOOR) == T0 + FLOOR


@given(st.floats(0.01, 0.99), st.floats(-1, 1), st.integers(200, 86_400))
def test_a_token_is_renewed_before_it_expires(fraction: float, jitter: float, seconds: int) -> None:
    """Whatever the fraction and the jitter are. The jitter is never more than a tenth of the configured fraction."""
    life = timedelta(seconds=seconds)
    due = renew_at(T0, T0 + life, fraction=fraction, jitter=jitter, floor=FLOOR) - T0
    assert FLOOR <= due < life
    assert due == FLOOR or abs(due / life - fraction) <= 0.1 * fraction + 1e-6


@pytest.mark.parametrize(("age_h", "minutes"), [(6, 30), (7, 20), (8.4, 6), (9, 0), (11, 0), (12, 0), (20, 0)])
def test_the_renewal_of_a_valid_token_can_be_deferred(age_h: float, minutes: float) -> None:
    """By a sixth of the time until the last quarter of its life, and not at all in that quarter."""
    assert slack(T0, T0 + 12 * HOUR, T0 + age_h * HOUR, HOUR) == timedelta(minutes=minutes)


def test_in_the_urgent_window_no_renewal_is_deferred() -> None:
    """If `renewal.urgent_window_s` is longer than the last quarter, it counts instead."""
    assert slack(T0, T0 + 12 * HOUR, T0 + 6 * HOUR, 5 * HOUR) == timedelta(minutes=10)
    assert slack(T0, T0 + 12 * HOUR, T0 + 7 * HOUR, 5 * HOUR) == timedelta()


def test_a_clock_that_is_set_back_does_not_extend_a_token() -> None:
    """A year before it was issued, it can be deferred as long as a new one. A token issued expired cannot be."""
    assert slack(T0, T0 + 12 * HOUR, T0 - 8760 * HOUR, HOUR) == 1.5 * HOUR
    assert slack(T0, T0 - HOUR, T0 - 2 * HOUR, HOUR) == timedelta()


def test_a_token_expires_at_its_expiry_time() -> None:
    """To the second. A login without an expiry never expires."""
    assert not expired(T0 + HOUR, T0 + HOUR - timedelta(seconds=1))
    assert expired(T0 + HOUR, T0 + HOUR)
    assert not expired(None, T0)


def test_a_failing_renewal_is_an_error_in_the_last_hour() -> None:
    """Before that, it is a warning."""
    assert severity_of_failing(T0 + HOUR + FLOOR, T0, HOUR) is Severity.WARNING
    assert severity_of_failing(T0 + HOUR, T0, HOUR) is Severity.ERROR
    assert severity_of_failing(T0, T0 + HOUR, HOUR) is Severity.ERROR


@pytest.mark.parametrize(("jitter", "pause_s"), [(-1, 15), (0, 22.5), (1, 30)])
def test_a_token_that_comes_again_is_asked_for_shortly_before_its_end(jitter: float, pause_s: float) -> None:
    """When its cloud surely has another one. If it still has not, the next request follows 15 to 30 s later."""
    reserve, end = timedelta(seconds=225), T0 + HOUR
    given = {"fraction": 0.5, "jitter": jitter, "floor": FLOOR, "reserve": reserve}
    assert renew_at(T0, end, **given) == end - reserve  # type: ignore[arg-type]  # of several types
    late = end - timedelta(seconds=200)
    assert renew_at(late, end, **given) == late + timedelta(seconds=pause_s)  # type: ignore[arg-type]
