"""When a stored login is checked again although no watched file has changed."""

import math

import pytest

from agent.model.desired_login import DesiredLogin
from agent.model.docker_config import Entry
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.services.managed_login import POLL_S, ManagedLogin, next_check_s
from tests.fakes import EPOCH

PROMISED_S = 5.0
"""A login that another program removes is back within this time."""


def managed(stored_in: str = "good", check_s: float = 0.0) -> ManagedLogin:
    desired = DesiredLogin(Registry("ghcr.io"), Entry("me", Sensitive("s3cret")), None)
    return ManagedLogin(desired, stored_in, ours=True, check_s=check_s)


@pytest.mark.parametrize(("number", "check_s"), [(1, 0.15), (3, 0.05), (10, 0.015)])
def test_a_few_logins_in_a_quick_helper_are_checked_often_enough(number: int, check_s: float) -> None:
    """Also with the check itself, and the three calls of the helper that restore the login."""
    logins = [managed(check_s=check_s) for _ in range(number)]
    assert next_check_s(logins[0], logins) + 4 * check_s < PROMISED_S


@pytest.mark.parametrize(("number", "check_s"), [(10, 0.28), (100, 0.05)])
def test_many_logins_in_a_helper_use_a_hundredth_of_a_processor(number: int, check_s: float) -> None:
    logins = [managed(check_s=check_s) for _ in range(number)]
    assert number * check_s / next_check_s(logins[0], logins) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("number", [1, 3])
def test_one_slow_check_does_not_make_the_next_ones_rare(number: int) -> None:
    logins = [managed(check_s=0.01) for _ in range(number)]
    logins[0].check_s = 60.0
    assert next_check_s(logins[0], logins) == 30 * number


def test_a_login_in_the_file_needs_no_check_by_time() -> None:
    login = managed("config.json")
    assert next_check_s(login, [login]) == math.inf
    login.next_check = math.inf
    assert login.rest_s(7.0) == math.inf


def test_the_next_check_happens_when_it_is_due() -> None:
    """Not on a grid, which would add up to two seconds. While a check runs, its end is not known."""
    login = managed()
    login.next_check = 10.0
    assert login.rest_s(7.0) == 3.0
    login.checking, login.next_check = True, math.inf
    assert login.rest_s(7.0) == POLL_S


@pytest.mark.parametrize("cause", ["a failed check", "a write", "the end of another login"])
def test_a_login_that_has_ended_needs_no_more_checks_for_an_earlier_cause(cause: str) -> None:
    """There is nothing left to store, and the store can be read."""
    login = managed("config.json")
    login.failed, login.wrote = cause == "a failed check", cause == "a write"
    login.other_ends_at = EPOCH if cause == "the end of another login" else None
    login.note_found(Entry("you", Sensitive("theirs")), ours=False)
    login.next_check = next_check_s(login, [login])
    assert login.rest_s(0.0) == math.inf
