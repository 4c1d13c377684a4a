"""What a login shows in the status and in the log: all of it, at each step of its life."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from unittest.mock import ANY

import pytest

from agent.model.docker_results import ProbeResult
from agent.model.problem import Problem
from agent.model.problems.aws import AwsUnreachable
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.problems.stored_login import ConfigInvalid, CredentialStoreFailed
from agent.model.status import RegistryStatus, State
from agent.model.stored_state import AppliedLogin
from tests.fakes import EPOCH
from tests.services.conftest import Begin
from tests.services.login_fakes import ECR, HOURS, Bench, basic, native

DOWN: Final = RegistryUnreachable("ghcr.io", "down", wait=timedelta(seconds=90))
REFUSED: Final = "ghcr.io refused the user name or password of secret team"
GHCR: Final = {"registry": "ghcr.io", "secret": "team", "attempt_id": "id-1"}
TOKEN: Final = {"registry": ECR, "secret": "team-ecr"}


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def answer(problem: Problem | None) -> Callable[[str], Problem | None]:
    return lambda _: problem


async def test_the_life_of_a_password(bench: Bench, begin: Begin) -> None:
    """It fails, works, and is refused when the registry is asked about it."""
    bench.docker_login.answer = answer(DOWN)
    await begin(basic())
    status = RegistryStatus("ghcr.io", "team", "project", "basic", EPOCH, attempt_id="id-1", attempts=1)
    failed = replace(status, state=State.RETRYING, next_attempt_at=at(90), consecutive_failures=1, last_error="down")
    assert bench.row == failed
    bench.docker_login.answer = answer(None)
    await bench.clock.advance(90)
    good = replace(status, state=State.LOGGED_IN, changed_at=at(90), logged_in_at=at(90), attempts=2)
    assert bench.row == good
    bench.login_check.answers = [ProbeResult(EPOCH, status=401, refused=True)]
    await bench.clock.advance(6 * HOURS)
    asked = 90 + 6 * HOURS
    assert bench.row == replace(
        good,
        state=State.REJECTED,
        changed_at=at(asked),
        next_attempt_at=at(asked + 1800),
        consecutive_failures=1,
        last_error=REFUSED,
    )
    assert bench.warnings == {"login_rejected": "error"}
    succeeded = {"stored_in": "config.json", "expires_at": None, "renew_at": None, "seconds": 0.0}
    failure = {"code": "registry_unreachable", "message": "down", "seconds": 0.0, "failures": 1, "wait_s": 90.0}
    assert bench.log.events == [
        ("debug", "login.started", {**GHCR, "attempt": 1}),
        ("info", "login.failed", {**GHCR, **failure}),
        ("debug", "login.started", {**GHCR, "attempt": 2}),
        ("info", "login.succeeded", {**GHCR, **succeeded}),
        ("info", "login.refused", {**GHCR, "code": "login_rejected", "message": REFUSED, "wait_s": 1800.0}),
    ]


async def test_the_life_of_a_token(bench: Bench, begin: Begin) -> None:
    """It is renewed, its renewal fails, and it is removed at its end."""
    await begin(native())
    good = RegistryStatus(
        *(ECR, "team-ecr", "project", "ecr", EPOCH, State.LOGGED_IN, "arn:aws:test", EPOCH, at(12 * HOURS)),
        *(at(6 * HOURS), None, "id-1", False, 1),
    )
    assert bench.row == good
    bench.credentials.problem = AwsUnreachable("aws", "aws is down", wait=timedelta(hours=7))
    await bench.clock.advance(6 * HOURS)
    renewing: dict[str, Any] = {"attempts": 2, "consecutive_failures": 1, "last_error": "aws is down"}
    failing = replace(good, attempt_id=bench.row.attempt_id, next_attempt_at=bench.row.next_attempt_at, **renewing)
    assert bench.row == failing
    assert bench.row.next_attempt_at is not None
    assert bench.row.next_attempt_at >= at(13 * HOURS)
    bench.time.observe(bench.clock.now())
    await bench.clock.advance(6 * HOURS)
    assert bench.row == replace(failing, state=State.EXPIRED, changed_at=at(12 * HOURS))
    assert bench.warnings == {"aws_unreachable": "warning", "token_expired": "error"}
    first = {**TOKEN, "attempt_id": "id-1"}
    second = {**TOKEN, "attempt_id": failing.attempt_id}
    times = {"expires_at": at(12 * HOURS), "renew_at": at(6 * HOURS), "seconds": 0.0}
    failure = {"code": "aws_unreachable", "message": "aws is down", "seconds": 0.0, "failures": 1}
    wait_s = round((failing.next_attempt_at - at(6 * HOURS)).total_seconds(), 1) if failing.next_attempt_at else None
    assert bench.log.events == [
        ("debug", "login.started", {**first, "attempt": 1}),
        ("info", "login.succeeded", {**first, "stored_in": "config.json", **times}),
        ("debug", "login.started", {**second, "attempt": 2}),
        ("info", "login.failed", {**second, **failure, "wait_s": wait_s}),
        ("info", "login.expired", {**second, "taken_out": True}),
    ]


async def test_a_removal_that_fails_is_reported_until_it_works(bench: Bench, begin: Begin) -> None:
    """It is tried again after `retry.max_wait_s`."""
    await begin(native())
    bench.credentials.problem = AwsUnreachable("aws", "aws is down", wait=timedelta(hours=7))
    await bench.clock.advance(6 * HOURS)
    bench.time.observe(bench.clock.now())
    bench.reconciler.problem = CredentialStoreFailed(ECR, "it hangs")
    await bench.clock.advance(6 * HOURS)
    assert bench.warnings["credential_store_failed"]
    assert ECR in bench.reconciler.stored
    bench.reconciler.problem = None
    await bench.clock.advance(299)
    assert ECR in bench.reconciler.stored
    await bench.clock.advance(2)
    assert ECR not in bench.reconciler.stored
    assert bench.warnings == {"aws_unreachable": "warning", "token_expired": "error"}


async def test_a_skipped_login_says_why(bench: Bench, begin: Begin) -> None:
    """Once, however long docker is missing."""
    bench.docker.docker_ready.clear()
    login = await begin(basic())
    for _ in range(3):
        login.wake()
        await bench.clock.settle()
    skipped = RegistryStatus("ghcr.io", "team", "project", "basic", EPOCH, State.SKIPPED, attempt_id="id-1")
    assert bench.row == replace(skipped, last_error="there is no docker on PATH")
    assert bench.log.events == [("info", "login.skipped", {**GHCR, "reason": "there is no docker on PATH"})]
    assert bench.outcomes == 1


async def test_a_refusal_from_before_a_restart_is_shown_at_once(bench: Bench, begin: Begin) -> None:
    """With the rest of its wait. Nothing is tried meanwhile."""
    bench.rejections.held = LoginRejected("ghcr.io", "wrong"), at(1800)
    await begin(basic())
    assert (bench.row.state, bench.row.next_attempt_at, bench.row.last_error) == (State.REJECTED, at(1800), "wrong")
    assert (bench.row.attempts, bench.row.consecutive_failures, bench.outcomes) == (0, 0, 1)
    fields = {**GHCR, "attempt_id": None, "code": "login_rejected", "not_before": at(1800)}
    assert bench.log.events == [("info", "login.deferred", fields)]
    bench.rejections.held = None
    await bench.clock.advance(1799)
    assert bench.docker_login.tried == []
    await bench.clock.advance(1)
    assert bench.docker_login.tried == ["right"]


async def test_the_end_of_a_stored_login_is_shown_only_while_docker_holds_it(bench: Bench, begin: Begin) -> None:
    """Until the first attempt is over, the state file is all that is known about it."""
    bench.docker_login.answer = answer(DOWN)
    await begin(basic(), at(HOURS))
    assert (bench.row.state, bench.row.expires_at) == (State.RETRYING, None)


UNREADABLE = ConfigInvalid("ghcr.io", "it is not JSON")


@pytest.mark.parametrize("rejected", [True, False])
async def test_a_login_of_an_earlier_start_is_not_shown_while_docker_cannot_read_it(
    bench: Bench, begin: Begin, rejected: bool
) -> None:
    """No attempt has reached the store yet: the network is down, or the secret is known to be refused."""
    bench.reconciler.stored["ghcr.io"], bench.reconciler.unread = "right", {"ghcr.io"}
    bench.reconciler.lost_logins["ghcr.io"] = UNREADABLE
    bench.rejections.held = (LoginRejected("ghcr.io", "wrong"), at(1800)) if rejected else None
    bench.docker_login.answer = answer(DOWN)
    login = await begin(basic(), at(HOURS))
    assert bench.row.state is State.RETRYING
    assert bench.warnings == {("login_rejected" if rejected else "registry_unreachable"): ANY}
    bench.reconciler.unread = set()
    del bench.reconciler.lost_logins["ghcr.io"]
    login.wake()
    await bench.clock.settle()
    assert (bench.row.state, bench.row.expires_at) == (State.LOGGED_IN, at(HOURS))


async def test_a_login_of_an_earlier_start_that_is_gone_once_it_can_be_read_is_not_shown(
    bench: Bench, begin: Begin
) -> None:
    """Whoever repaired the file may have emptied it."""
    bench.reconciler.unread = {"ghcr.io"}
    bench.docker_login.answer = answer(DOWN)
    login = await begin(basic(), at(HOURS))
    assert bench.row.state is State.LOGGED_IN, "docker finds one all the same"
    bench.reconciler.unread = set()
    login.wake()
    await bench.clock.settle()
    assert (bench.row.state, bench.row.expires_at) == (State.RETRYING, None)
    assert bench.warnings == {"registry_unreachable": "warning"}


async def test_the_end_of_a_login_that_docker_holds_is_shown(bench: Bench, begin: Begin) -> None:
    bench.reconciler.stored["ghcr.io"] = "right"
    bench.docker_login.answer = answer(DOWN)
    await begin(basic(), at(HOURS))
    assert (bench.row.state, bench.row.expires_at) == (State.LOGGED_IN, at(HOURS))
    assert bench.warnings == {"registry_unreachable": "warning", "renewal_failing": "error"}
    await bench.clock.advance(HOURS)
    assert bench.row.expires_at == at(HOURS)


@pytest.mark.parametrize(
    ("problem", "docker", "state"),
    [(None, True, State.LOGGED_IN), (DOWN, True, State.RETRYING), (None, False, State.SKIPPED)],
)
async def test_one_pass_ends_after_the_first_attempt(
    bench: Bench, problem: Problem | None, docker: bool, state: State
) -> None:
    """Good or bad, without a next attempt."""
    bench.docker_login.answer = answer(problem)
    if not docker:
        bench.docker.docker_ready.clear()
    login = bench.login(basic())
    await asyncio.wait_for(login.run(once=True), timeout=600)
    assert (login.status.state, login.status.next_attempt_at, login.first_attempt_done) == (state, None, True)


@pytest.mark.parametrize(("ours", "state"), [(True, State.LOGGED_IN), (False, State.RETRYING)])
async def test_a_store_that_fails_is_a_failed_login_only_if_docker_has_no_login_of_ours(
    bench: Bench, begin: Begin, *, ours: bool, state: State
) -> None:
    """Docker may go on to ask the agent, when its own store is broken. The reconciler reports why."""
    bench.reconciler.applied = AppliedLogin("memory", (CredentialStoreFailed("ghcr.io", "it hangs"),), ours=ours)
    await begin(basic())
    assert bench.row.state is state
