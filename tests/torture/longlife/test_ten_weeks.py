"""Ten simulated weeks of an environment's life; the four days of `make test`, longer and with another seed."""

import pytest

from tests.longlife.life import assert_no_growth, life
from tests.torture.campaign import say, seed, times

pytestmark = pytest.mark.torture


def test_ten_weeks_without_an_expired_login_and_without_growth(capsys: pytest.CaptureFixture[str]) -> None:
    """No moment with an expired login while a renewal was possible, nobody asked too often, and no growth."""
    with life(seed()) as (environment, loop):
        figures = loop.run_until_complete(environment.live(max(times(70), 7)))
    say(capsys, "a long life", str(figures))
    assert_no_growth(figures)


def test_a_refusal_outlives_seventy_restarts(capsys: pytest.CaptureFixture[str]) -> None:
    """The agent begins anew a minute after each new secret: a refused one is not tried before its time for that."""
    with life(seed()) as (environment, loop):
        figures = loop.run_until_complete(environment.live(max(times(70), 7), restarts=True))
    say(capsys, "a long life with restarts", str(figures))
