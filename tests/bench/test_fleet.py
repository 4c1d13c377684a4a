"""A fleet of ten thousand with a tenth of ECR's quota shows what the agent's rules promise to a hundred thousand."""

import numpy as np
import pytest

from bench.crowd.outcome import Outcome, outcome_of
from bench.crowd.record import Cause
from bench.crowd.rules import BROKEN, NOTICED_S, SILENT, THROTTLED, Rules
from bench.crowd.simulation import simulate
from bench.crowd.week import BOOT, PAUSE, Awake, Week, at

NUMBER = 10_000
QUOTA = 20.0
WEEK = Week(
    awake=(
        Awake(BOOT, at(0, 9), at(0, 18), 1.0, anew=1.0),
        Awake("then", at(1, 9), at(1, 13), 300.0, peaked=True),
        Awake(PAUSE, at(1, 16), at(2, 18), 1.0, anew=0.1, paused=True),
    ),
    outage=(at(0, 14.5), at(0, 15.5)),
)


def outcome(week: Week = WEEK, *, plain: bool = False, number: int = NUMBER, quota: float = QUOTA) -> Outcome:
    record = simulate(number, week, plain=plain, quota=quota, seed=7)
    assert (record.without >= 0).all()
    return outcome_of(record, week, number=number, plain=plain, quota=quota)


@pytest.fixture(scope="module")
def now() -> Outcome:
    return outcome()


@pytest.fixture(scope="module")
def before() -> Outcome:
    return outcome(plain=True)


def test_nobody_loses_a_login_to_throttling(now: Outcome) -> None:
    """Nor to the outage: each environment with a valid token kept one for as long as it was awake."""
    assert now.lost == dict.fromkeys(Cause, 0)
    assert now.without_h[Cause.OUTAGE] == 0


def test_after_an_outage_the_calls_stay_within_half_above_the_quota(now: Outcome, before: Outcome) -> None:
    """In any ten seconds. The rules before exceeded this limit."""
    assert now.peak_after_outage <= 1.5 * QUOTA < before.peak_after_outage


def test_after_a_pause_due_tokens_are_renewed_at_once(now: Outcome) -> None:
    """All resume in one second and call AWS by the next beat, even if their tokens are still valid."""
    assert now.peak_after_pause >= 0.9 * NUMBER / NOTICED_S


def test_environments_without_a_token_go_before_those_with_a_good_one(now: Outcome, before: Outcome) -> None:
    """One of ten has none. Their median wait is shorter than before, the last wait no longer than if all had none."""
    storm = now.storm(PAUSE)
    assert storm.number == pytest.approx(NUMBER / 10, rel=0.1)
    assert storm.half_s <= 0.8 * before.storm(PAUSE).half_s
    assert storm.last_s <= 1.6 * NUMBER / QUOTA


def test_a_boot_in_one_second_is_over_soon_after_the_quota_allows(now: Outcome) -> None:
    """The first call goes out at once. The median wait is about that of a queue, the last at most 1.6 times a queue."""
    storm = now.storm(BOOT)
    assert (storm.number, storm.floor_s) == (NUMBER, NUMBER / QUOTA)
    assert storm.half_s <= 1.1 * storm.floor_s / 2
    assert storm.last_s <= 1.6 * storm.floor_s


def test_the_same_seed_gives_the_same_calls() -> None:
    """So every figure can be reproduced."""
    morning = Week((Awake(PAUSE, at(0, 9), at(0, 12), 1.0, anew=1.0, paused=True),), outage=(at(0, 10), at(0, 10.5)))
    once, again = (outcome(morning, number=500, quota=1.0) for _ in range(2))
    assert once.throttled
    assert (once.calls, once.throttled, once.storms) == (again.calls, again.throttled, again.storms)


def test_a_quota_that_is_too_small_costs_logins() -> None:
    """With 72 calls in the life of a token, some of a hundred logins expire while awake, throttled. So it counts."""
    one_day = Week((Awake("all", at(0, 0), at(0, 20), 1.0, anew=1.0),), outage=(0.0, 0.0))
    record = simulate(100, one_day, quota=1 / 600)
    assert record.lost[Cause.THROTTLED] > 0
    assert record.lost.sum() == record.lost[Cause.THROTTLED]


def test_the_decisions_are_the_agents() -> None:
    """The longest waits by attempt match, without a token and with a half-used one. Renewals match too."""
    attempts, six_hours = np.array([1, 2, 5, 9, 40]), np.full(5, 6 * 3600.0)
    nothing, token = np.full(5, -np.inf), np.zeros(5)
    for problem in (THROTTLED, SILENT, BROKEN):
        assert Rules().longest_waits(problem, attempts, six_hours, nothing).tolist() == [1, 2, 16, 256, 300]
        assert Rules().longest_waits(problem, attempts, six_hours, token).tolist() == [1, 4, 256, 1800, 1800]
        assert Rules(plain=True).longest_waits(problem, attempts, six_hours, token).tolist() == [1, 2, 16, 256, 300]
    due = Rules().renewals(np.array([100.0, 100.0]), np.array([-1.0, 1.0]))
    assert due.tolist() == pytest.approx([100 + 0.45 * 43200, 100 + 0.55 * 43200])
