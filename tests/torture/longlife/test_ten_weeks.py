"""Ten simulated weeks of an environment's life: the four days of `make test`, but longer and with another seed."""

import pytest

from tests.longlife.life import assert_no_growth, life
from tests.torture.campaign import say, seed, times

pytestmark = pytest.mark.torture


def test_ten_weeks_without_an_expired_login_and_without_growth(capsys: pytest.CaptureFixture[str]) -> None:
    """No login stays expired while a renewal is possible, no server is asked too often, and nothing grows."""
    with life(seed()) as (environment, loop):
        figures = loop.run_until_complete(environment.live(max(times(70), 7)))
    say(capsys, "a long life", str(figures))
    assert_no_growth(figures)


def test_a_refusal_outlives_seventy_restarts(capsys: pytest.CaptureFixture[str]) -> None:
    """The agent restarts a minute after each new secret. A refused secret is not tried again before its time."""
    with life(seed()) as (environment, loop):
        figures = loop.run_until_complete(environment.live(max(times(70), 7), restarts=True))
    say(capsys, "a long life with restarts", str(figures))
