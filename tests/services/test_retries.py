"""How long is waited after a failure, by what failed, how often, and what is at stake."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.model.problem import Problem
from agent.model.problems.aws import AwsAccessDenied, AwsError, AwsIdentityUnavailable, AwsThrottled, AwsUnreachable
from agent.model.problems.registry import LoginRejected, RegistryRateLimited, RegistryUnreachable
from agent.services.retries import longest_wait, wait_after
from agent.settings import RetrySettings

SETTINGS = RetrySettings()
HALF_AN_HOUR = 1800.0


@pytest.mark.parametrize("kind", [RegistryUnreachable, AwsThrottled, AwsUnreachable])
def test_who_has_no_login_waits_as_the_settings_say(kind: type[Problem]) -> None:
    """Exponential from first_wait_s to max_wait_s, whatever failed; no number of failures goes beyond."""
    waits = [longest_wait(kind("x", "x"), attempt, SETTINGS) for attempt in range(1, 12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert longest_wait(kind("x", "x"), 100_000, SETTINGS) == 300


@pytest.mark.parametrize("kind", [AwsThrottled, AwsUnreachable, AwsError])
def test_who_has_a_good_token_lets_the_others_go_first(kind: type[Problem]) -> None:
    """The waits grow faster, and beyond max_wait_s: to what the token can spare, to six times max_wait_s at most."""
    problem = kind("aws", "x")
    waits = [longest_wait(problem, attempt, SETTINGS, HALF_AN_HOUR) for attempt in range(1, 9)]
    assert waits == [1, 4, 16, 64, 256, 1024, 1800, 1800]
    assert longest_wait(problem, 9, SETTINGS, 700.0) == 700
    assert longest_wait(problem, 9, SETTINGS, 20.0) == 300
    assert longest_wait(problem, 9, replace(SETTINGS, max_wait_s=2.0), HALF_AN_HOUR) == 12


def test_a_fault_of_ones_own_is_retried_at_the_same_pace() -> None:
    """Nobody else waits for AWS because this environment's token command fails."""
    assert longest_wait(AwsIdentityUnavailable("aws", "x"), 20, SETTINGS, HALF_AN_HOUR) == 300


def test_the_wait_is_drawn_evenly_below_the_longest() -> None:
    """Full jitter."""
    waits = [wait_after(AwsThrottled("aws", "x"), 20, SETTINGS, slack_s=HALF_AN_HOUR) for _ in range(2000)]
    assert all(0 <= wait <= 1800 for wait in waits)
    assert 800 < sum(waits) / len(waits) < 1000
    assert wait_after(AwsAccessDenied("aws", "x"), 20, SETTINGS, slack_s=HALF_AN_HOUR) == SETTINGS.rejected_wait_s


@pytest.mark.parametrize(
    ("kind", "asked_s", "least", "most"),
    [
        (LoginRejected, None, 1800, 1800),
        (LoginRejected, 60, 1800, 1800),
        (LoginRejected, 7200, 7200, 7200),
        (LoginRejected, 13 * 3600, 12 * 3600, 12 * 3600),
        (RegistryRateLimited, None, 0, 300),
        (RegistryRateLimited, 7, 7, 300),
        (RegistryRateLimited, 900, 900, 900),
        (RegistryRateLimited, 13 * 3600, 12 * 3600, 12 * 3600),
    ],
)
def test_a_wait_that_is_asked_for_is_obeyed_and_shortens_none(
    kind: type[Problem], asked_s: int | None, least: float, most: float
) -> None:
    """`Retry-After`, shorter or longer than our own wait, after any failure; 12 hours at most."""
    problem = kind("ghcr.io", "x", wait=timedelta(seconds=asked_s) if asked_s is not None else None)
    waits = [wait_after(problem, 20, SETTINGS) for _ in range(300)]
    assert least <= min(waits) <= max(waits) <= most
    assert most == least or max(waits) > max(least, 200), "a short Retry-After does not replace the backoff"


def test_a_final_wait_is_used_as_it_is() -> None:
    """It is the rest of a wait that several registries share."""
    problem = AwsAccessDenied("aws", "x").about("ghcr.io", wait=timedelta(seconds=5))
    assert wait_after(problem, 20, SETTINGS) == 5
