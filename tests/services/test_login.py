"""One registry's login over its life, told on a clock that moves only when the test moves it."""

import asyncio
import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.edge.state_file import StateFile
from agent.model.docker_config import Entry
from agent.model.docker_results import Fault, ProbeResult
from agent.model.plan import Login
from agent.model.problem import Problem, RetryClass
from agent.model.problems.aws import AwsAccessDenied, AwsCredentialsMissing, AwsUnreachable, ClockSkew
from agent.model.problems.environment import DockerCliMissing
from agent.model.problems.registry import EcrTokenExpired, LoginRejected, RegistryRateLimited, RegistryUnreachable
from agent.model.problems.stored_login import ConfigInvalid, ConfigUnwritable, CredentialStoreFailed
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.model.status import State
from agent.services.rejections import Rejections
from agent.settings import RenewalSettings
from tests.fakes import EPOCH
from tests.services.conftest import Begin
from tests.services.login_fakes import ECR, HOURS, Bench, basic, native, plan


async def test_a_good_password_logs_in_once_and_rests(bench: Bench, begin: Begin) -> None:
    """A password that works is used once; nothing happens for a day."""
    await begin(basic())
    await bench.clock.advance(24 * HOURS)
    assert bench.docker_login.tried == ["right"]
    assert bench.state() is State.LOGGED_IN
    assert bench.outcomes == 1


async def test_a_passing_fault_is_tried_again_until_it_passes(bench: Bench, begin: Begin) -> None:
    """Waits grow to at most retry.max_wait_s; the warning goes with the fault."""
    bench.docker_login.answer = lambda _: RegistryUnreachable("ghcr.io", "down")
    await begin(basic())
    assert bench.state() is State.RETRYING
    await bench.clock.advance(2 * HOURS)
    tries = len(bench.docker_login.tried)
    assert 2 * 12 <= tries < 150
    assert bench.row.consecutive_failures == tries
    bench.docker_login.answer = lambda _: None
    await bench.clock.advance(301)
    assert bench.state() is State.LOGGED_IN
    assert bench.warnings == {}
    assert [cleared.warning.code for cleared in bench.board.snapshot.cleared] == ["registry_unreachable"]


async def test_a_wrong_password_is_not_tried_again_soon(bench: Bench, begin: Begin) -> None:
    """After a refusal nothing is tried for rejected_wait_s, since registries lock accounts."""
    bench.docker_login.answer = lambda _: LoginRejected("ghcr.io", "wrong")
    await begin(basic())
    await bench.clock.advance(1799)
    assert len(bench.docker_login.tried) == 1
    assert bench.state() is State.REJECTED
    await bench.clock.advance(2)
    assert len(bench.docker_login.tried) == 2


async def test_asking_goes_past_a_refusal(bench: Bench, begin: Begin) -> None:
    """`renew` tries at once, takes over a person's entry, and its id is the attempt's."""
    bench.docker_login.answer = lambda _: LoginRejected("ghcr.io", "wrong")
    login = await begin(basic())
    bench.docker_login.answer = lambda _: None
    attempt_id = login.request_now()
    await bench.clock.settle()
    assert bench.state() is State.LOGGED_IN
    assert bench.row.attempt_id == attempt_id
    assert bench.row.attempting is False
    assert bench.reconciler.taken_over == [True]


async def test_retry_after_is_obeyed(bench: Bench, begin: Begin) -> None:
    """A registry that says when to come back is not asked before."""
    bench.docker_login.answer = lambda _: RegistryRateLimited("ghcr.io", "slow down", wait=timedelta(seconds=900))
    await begin(basic())
    assert bench.rejections.held is not None
    assert bench.rejections.held[1] == EPOCH + timedelta(seconds=900)
    await bench.clock.advance(899)
    assert len(bench.docker_login.tried) == 1
    await bench.clock.advance(2)
    assert len(bench.docker_login.tried) == 2


async def test_a_refusal_by_aws_ends_when_aws_gives_somebody_a_token(bench: Bench, begin: Begin) -> None:
    """A registry of the same identity was renewed, or `aws.*` was set otherwise; its own registry's refusal stays."""
    bench.credentials.problem = AwsAccessDenied("aws", "no", retry_class=RetryClass.REJECTED)
    login = await begin(native())
    bench.credentials.problem = None
    login.wake()
    await bench.clock.settle()
    assert bench.state() is State.REJECTED
    bench.credentials.works_again = True
    login.wake()
    await bench.clock.settle()
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {})
    bench.docker_login.answer = lambda _: LoginRejected(ECR, "wrong")
    login.request_now()
    await bench.clock.settle()
    tried = len(bench.docker_login.tried)
    login.wake()
    await bench.clock.settle()
    assert len(bench.docker_login.tried) == tried


async def test_a_refusal_from_before_a_restart_holds(bench: Bench, begin: Begin) -> None:
    """A restart of the agent is no new try, and the status says why nothing is tried."""
    bench.rejections.held = (LoginRejected("ghcr.io", "wrong"), EPOCH + timedelta(seconds=600))
    await begin(basic())
    assert bench.state() is State.REJECTED
    assert bench.warnings == {"login_rejected": "error"}
    assert bench.outcomes == 1
    await bench.clock.advance(599)
    assert bench.docker_login.tried == []
    await bench.clock.advance(2)
    assert bench.docker_login.tried == ["right"]


async def test_a_clock_that_is_set_ahead_does_not_send_a_refused_password_again(bench: Bench, begin: Begin) -> None:
    """All other deadlines are over then. The attempt shows the refusal, and waits for its real end."""
    rejections = Rejections(StateFile(None, Path("/nowhere")), bench.time)
    bench.dependencies = replace(bench.dependencies, rejections=rejections)
    bench.docker_login.answer = lambda _: LoginRejected("ghcr.io", "wrong")
    await begin(basic())
    bench.clock.jump(10 * HOURS)
    await bench.clock.advance(1799)
    assert (bench.docker_login.tried, bench.state()) == (["right"], State.REJECTED)
    assert bench.warnings == {"login_rejected": "error"}
    await bench.clock.advance(2)
    assert bench.docker_login.tried == ["right", "right"]


async def test_a_wait_that_the_registry_asked_for_holds_across_a_restart(bench: Bench, begin: Begin) -> None:
    """However much longer than a refusal's it is."""
    bench.rejections.held = (RegistryRateLimited("ghcr.io", "slow down"), EPOCH + timedelta(hours=2))
    await begin(basic())
    assert (bench.state(), bench.warnings) == (State.RETRYING, {"registry_rate_limited": "warning"})
    await bench.clock.advance(2 * HOURS - 1)
    assert bench.docker_login.tried == []
    await bench.clock.advance(2)
    assert bench.docker_login.tried == ["right"]


async def test_a_token_is_renewed_at_its_time(bench: Bench, begin: Begin) -> None:
    """A day of a 12-hour token, due at half of its life: a new login each six hours, each with a new token."""
    await begin(native())
    await bench.clock.advance(24 * HOURS + 1)
    assert bench.docker_login.tried == [f"token-{n}" for n in range(5)]
    assert bench.row.expires_at == EPOCH + timedelta(hours=36)
    assert bench.row.identity == "arn:aws:test"


async def test_a_renewal_that_was_asked_for_is_not_over_with_a_failure(bench: Bench, begin: Begin) -> None:
    """While AWS gives no new token it keeps failing: that the old one still works is not what was asked."""
    login = await begin(native())
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    login.request_now()
    await bench.clock.settle()
    bench.credentials.problem = None
    await bench.clock.advance(301)
    assert bench.docker_login.tried == ["token-0", "token-1"]
    assert bench.warnings == {}


async def test_after_a_suspend_what_is_due_is_renewed_at_once(bench: Bench, begin: Begin) -> None:
    """Ten hours of sleep pass on the wall clock only; the first look at it renews."""
    login = await begin(native())
    bench.clock.jump(10 * HOURS)
    login.wake()
    await bench.clock.settle()
    assert bench.docker_login.tried == ["token-0", "token-1"]


async def test_without_a_word_a_suspend_is_noticed_within_a_tick(bench: Bench, begin: Begin) -> None:
    """No wait is longer than 30 s without a look at the wall clock."""
    await begin(native())
    bench.clock.jump(10 * HOURS)
    await bench.clock.advance(30)
    assert bench.docker_login.tried == ["token-0", "token-1"]


async def test_a_clock_set_back_does_not_put_the_renewal_off(bench: Bench, begin: Begin) -> None:
    """With the wall clock a year back, the token is renewed after as much real time as before."""
    await begin(native())
    bench.clock.jump(-365 * 24 * HOURS)
    await bench.clock.advance(6 * HOURS + 1)
    assert bench.docker_login.tried == ["token-0", "token-1"]


async def test_a_failing_renewal_keeps_the_login_until_its_end(bench: Bench, begin: Begin) -> None:
    """A warning at first, an error in the last hour; at the end the dead login is taken out, and only then."""
    await begin(native())
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    await bench.clock.advance(6 * HOURS + 60)
    assert bench.state() is State.LOGGED_IN
    assert bench.warnings == {"aws_unreachable": "warning", "renewal_failing": "warning"}
    await bench.clock.advance(5 * HOURS)
    assert bench.warnings == {"aws_unreachable": "warning", "renewal_failing": "error"}
    assert bench.reconciler.stored == {ECR: "token-0"}
    await bench.clock.advance(HOURS)
    assert bench.state() is State.EXPIRED
    assert bench.warnings == {"aws_unreachable": "warning", "token_expired": "error"}
    assert bench.reconciler.stored == {}
    bench.credentials.problem = None
    await bench.clock.advance(301)
    assert bench.state() is State.LOGGED_IN
    assert bench.warnings == {}


async def test_an_expiry_between_two_slow_tries_is_noticed_when_it_comes(bench: Bench, begin: Begin) -> None:
    """A refusal waits half an hour; the token ends meanwhile, and is taken out at its end, not at the next try."""
    bench.credentials.life = timedelta(minutes=20)
    await begin(native())
    bench.credentials.problem = AwsUnreachable("aws", "refused", retry_class=RetryClass.REJECTED)
    await bench.clock.advance(20 * 60 + 1)
    assert bench.state() is State.EXPIRED
    assert bench.reconciler.stored == {}


async def test_a_token_that_the_registry_calls_expired_is_replaced_at_once(bench: Bench, begin: Begin) -> None:
    """ECR tokens can die early: its 403 brings a new token in the same attempt."""
    bench.docker_login.answer = lambda password: EcrTokenExpired(ECR, "expired") if password == "token-0" else None
    await begin(native())
    assert bench.docker_login.tried == ["token-0", "token-1"]
    assert bench.state() is State.LOGGED_IN
    assert bench.row.attempts == 1


async def test_without_docker_the_registry_is_skipped_until_it_comes(bench: Bench, begin: Begin) -> None:
    """No CLI is no failure: skipped, and logged in as soon as the CLI is there."""
    bench.docker.docker_ready.clear()
    login = await begin(basic())
    assert bench.state() is State.SKIPPED
    assert bench.row.attempts == 0
    assert bench.outcomes == 1
    bench.docker.docker_ready.set()
    login.wake()
    await bench.clock.settle()
    assert bench.state() is State.LOGGED_IN
    assert bench.row.last_error is None


async def test_a_configuration_that_cannot_be_written_is_reported_and_tried_again(bench: Bench, begin: Begin) -> None:
    """The registry said yes, but nothing is stored: that is a failure, with its own code."""
    bench.reconciler.problem = ConfigUnwritable("ghcr.io", "the disk is full")
    await begin(basic())
    assert bench.state() is State.RETRYING
    assert bench.warnings == {"config_unwritable": "error"}
    bench.reconciler.problem = None
    await bench.clock.advance(301)
    assert bench.state() is State.LOGGED_IN


async def test_a_bug_costs_one_attempt_and_is_reported(bench: Bench, begin: Begin) -> None:
    """A fault of the agent itself is a warning with its name, and is tried again like a passing one."""
    bench.docker_login.answer = lambda _: KeyError("surprise")
    await begin(basic())
    assert bench.warnings == {"internal_error": "error"}
    assert "login.crashed" in bench.log.names()
    bench.docker_login.answer = lambda _: None
    await bench.clock.advance(301)
    assert bench.state() is State.LOGGED_IN


async def test_retries_of_one_login_share_its_id(bench: Bench, begin: Begin) -> None:
    """A support person follows one id through all tries to their outcome."""
    bench.docker_login.answer = lambda _: RegistryUnreachable("ghcr.io", "down")
    await begin(basic())
    await bench.clock.advance(60)
    bench.docker_login.answer = lambda _: None
    await bench.clock.advance(301)
    ids = {fields["attempt_id"] for _, event, fields in bench.log.events if event.startswith("login.")}
    assert ids == {bench.row.attempt_id}


async def test_a_ready_token_past_its_end_is_looked_at_seldom(bench: Bench, begin: Begin) -> None:
    """A registry that still takes it, or a clock that is ahead: no spin, but its real end is noticed."""
    ended = base64.b64encode(json.dumps({"expiration": (EPOCH - timedelta(hours=1)).timestamp()}).encode()).decode()
    secret = {"name": "ready", "hostname": ECR, "username": "AWS", "password": ended}
    await begin(plan(secret).logins[0])
    await bench.clock.advance(HOURS)
    assert len(bench.docker_login.tried) == 1 + HOURS / 300
    assert bench.state() is State.LOGGED_IN
    bench.docker_login.answer = lambda _: EcrTokenExpired(ECR, "expired")
    await bench.clock.advance(301)
    assert bench.state() is State.EXPIRED
    assert bench.reconciler.stored == {}


async def test_a_clock_that_leaps_ahead_ends_no_token(bench: Bench, begin: Begin) -> None:
    """AWS says that our clock is wrong, so the token's end is told by the time that really went by."""
    await begin(native())
    bench.credentials.problem = ClockSkew("aws", "780 min ahead", retry_class=RetryClass.SOON)
    bench.clock.jump(13 * HOURS)
    await bench.clock.advance(2 * HOURS)
    assert bench.state() is State.LOGGED_IN
    assert bench.reconciler.stored == {ECR: "token-0"}
    await bench.clock.advance(10 * HOURS + 301)
    assert bench.state() is State.EXPIRED
    assert bench.reconciler.stored == {}


async def test_a_clock_set_right_is_noticed_on_tokens_too(bench: Bench, begin: Begin) -> None:
    """The registry is looked at again, with the token that is there."""
    bench.docker_login.amiss = (ClockSkew(ECR, "7 min ahead"),)
    login = await begin(native())
    bench.docker_login.amiss = ()
    login.wake()
    await bench.clock.settle()
    assert bench.warnings == {}
    assert bench.docker_login.tried == ["token-0", "token-0"]


async def test_a_clock_that_was_set_right_is_noticed(bench: Bench, begin: Begin) -> None:
    """A password has no renewal to bring the next look at the registry's clock, so the warning brings one."""
    bench.docker_login.amiss = (ClockSkew("ghcr.io", "20 min ahead"),)
    login = await begin(basic())
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {"clock_skew": "error"})
    bench.docker_login.amiss = ()
    login.wake()
    await bench.clock.settle()
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {})
    await bench.clock.advance(HOURS)
    assert len(bench.docker_login.tried) == 2


async def test_a_password_login_that_works_is_not_skipped_without_docker(bench: Bench, begin: Begin) -> None:
    """A renewal without docker fails and says why; Docker still holds the login."""
    login = await begin(basic())
    bench.docker.docker_ready.clear()
    bench.docker_login.answer = lambda _: DockerCliMissing("docker", "there is no docker on PATH")
    login.request_now()
    await bench.clock.settle()
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {"docker_cli_missing": "warning"})
    bench.docker.docker_ready.set()
    bench.docker_login.answer = lambda _: None
    login.wake()
    await bench.clock.settle()
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {})


async def test_an_expired_login_that_cannot_be_removed_is_tried_again(bench: Bench, begin: Begin) -> None:
    """Even if the next attempt is half an hour away."""
    bench.credentials.life = timedelta(minutes=20)
    await begin(native())
    bench.credentials.problem = AwsUnreachable("aws", "refused", retry_class=RetryClass.REJECTED)
    await bench.clock.advance(11 * 60)
    bench.reconciler.problem = ConfigUnwritable(ECR, "the disk is full")
    await bench.clock.advance(10 * 60)
    assert "config_unwritable" in bench.warnings
    bench.reconciler.problem = None
    await bench.clock.advance(301)
    assert (bench.reconciler.stored, "config_unwritable" in bench.warnings) == ({}, False)


async def test_another_failure_does_not_make_a_wrong_clock_right(bench: Bench, begin: Begin) -> None:
    """After `clock_skew`, AWS is unreachable: the token's end is still told by the time that really went by."""
    await begin(native())
    bench.credentials.problem = ClockSkew("aws", "780 min ahead", retry_class=RetryClass.SOON)
    bench.clock.jump(13 * HOURS)
    await bench.clock.advance(HOURS)
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    await bench.clock.advance(HOURS)
    assert bench.state() is State.LOGGED_IN
    assert bench.warnings.keys() == {"aws_unreachable", "renewal_failing"}
    assert bench.reconciler.stored == {ECR: "token-0"}
    await bench.clock.advance(10 * HOURS)
    assert (bench.state(), bench.reconciler.stored) == (State.EXPIRED, {})


@pytest.mark.parametrize("problem", [AwsUnreachable("aws", "no route"), ClockSkew("aws", "780 min ahead")])
async def test_a_clock_that_is_ahead_at_the_start_removes_no_login(bench: Bench, problem: Problem) -> None:
    """The state directory says when it ends. No server has confirmed the time since the start."""
    bench.reconciler.store(Registry(ECR), "token-of-before", EPOCH + timedelta(hours=11))
    bench.credentials.problem = problem
    bench.clock.jump(13 * HOURS)
    running = asyncio.create_task(bench.login(native(), EPOCH + timedelta(hours=11)).run())
    await bench.clock.advance(HOURS)
    assert bench.reconciler.stored == {ECR: "token-of-before"}
    known = isinstance(problem, ClockSkew)
    assert bench.state() is (State.LOGGED_IN if known else State.EXPIRED)
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    bench.time.observe(bench.clock.now())
    await bench.clock.advance(301)
    assert (bench.state(), bench.reconciler.stored) == (State.EXPIRED, {}), "the clock was right"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_login_that_expired_before_a_restart_is_removed_although_no_token_can_be_had(
    bench: Bench, begin: Begin
) -> None:
    """Its registry is asked for the time, without a password. On a public one, the dead login blocks all pulls."""
    bench.reconciler.store(Registry(ECR), "token-of-before", EPOCH - timedelta(hours=2))
    bench.registries_answer = True
    bench.credentials.problem = AwsCredentialsMissing("aws", "no credentials")
    await begin(native(), EPOCH - timedelta(hours=2))
    assert (bench.state(), bench.reconciler.stored, bench.asked_time) == (State.EXPIRED, {}, [ECR])
    assert "token_expired" in bench.warnings


async def test_a_registry_that_does_not_answer_is_seldom_asked_for_the_time(bench: Bench, begin: Begin) -> None:
    """At most once in `retry.max_wait_s`, however often the renewal is tried. The login may still work."""
    bench.reconciler.store(Registry(ECR), "token-of-before", EPOCH - timedelta(hours=2))
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    await begin(native(), EPOCH - timedelta(hours=2))
    await bench.clock.advance(HOURS)
    assert bench.reconciler.stored
    assert 2 <= len(bench.asked_time) <= HOURS / 300 + 1
    bench.registries_answer = True
    await bench.clock.advance(600)
    assert bench.reconciler.stored == {}


async def test_a_login_that_is_expired_by_a_wrong_clock_only_is_valid_again(bench: Bench, begin: Begin) -> None:
    """A registry that fails says nothing of the time. Once AWS says that our clock is wrong, the status follows."""
    await begin(native())
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    bench.clock.jump(13 * HOURS)
    await bench.clock.advance(301)
    assert (bench.state(), bench.reconciler.stored) == (State.EXPIRED, {ECR: "token-0"})
    bench.credentials.problem = ClockSkew("aws", "780 min ahead", retry_class=RetryClass.SOON)
    await bench.clock.advance(301)
    assert bench.state() is State.LOGGED_IN
    assert bench.warnings.keys() == {"clock_skew", "renewal_failing"}


async def test_a_rejection_waits_as_long_as_the_registry_asks(bench: Bench, begin: Begin) -> None:
    """`Retry-After` holds if it is longer than the wait after a rejection, also in what a restart remembers."""
    asked = timedelta(hours=2)
    bench.docker_login.answer = lambda _: LoginRejected("ghcr.io", "locked", wait=asked)
    await begin(basic())
    assert bench.rejections.held is not None
    assert bench.rejections.held[1] == EPOCH + asked
    await bench.clock.advance(2 * HOURS - 1)
    assert len(bench.docker_login.tried) == 1
    await bench.clock.advance(2)
    assert len(bench.docker_login.tried) == 2


async def test_a_request_notes_at_once_what_it_may_take_over(bench: Bench, begin: Begin) -> None:
    """Not when the attempt starts: that may be much later."""
    bench.docker_login.hanging = "ghcr.io"
    login = await begin(basic())
    assert bench.reconciler.noted_replaceable == []
    login.request_now()
    assert bench.row.attempting
    assert bench.reconciler.noted_replaceable == ["ghcr.io"]


# A login without an end is checked


REFUSED = ProbeResult(EPOCH, status=401, refused=True)


async def test_a_password_that_dies_is_noticed(bench: Bench, begin: Begin) -> None:
    """After renewal.check_interval_s, the registry is asked. A refusal is not repeated before rejected_wait_s."""
    await begin(basic())
    bench.login_check.answers = [REFUSED]
    bench.docker_login.answer = lambda _: LoginRejected("ghcr.io", "refused")
    await bench.clock.advance(6 * HOURS - 1)
    assert (bench.login_check.asked, bench.state()) == ([], State.LOGGED_IN)
    await bench.clock.advance(2)
    assert bench.login_check.asked == ["right"]
    assert (bench.state(), bench.warnings) == (State.REJECTED, {"login_rejected": "error"})
    assert bench.rejections.held is not None, "a restart does not try sooner"
    assert bench.reconciler.stored == {"ghcr.io": "right"}, "nothing is removed"
    await bench.clock.advance(1790)
    assert bench.docker_login.tried == ["right"]
    bench.docker_login.answer = lambda _: None
    await bench.clock.advance(20)
    assert bench.docker_login.tried == ["right", "right"]
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {})


@pytest.mark.parametrize(
    "answer",
    [
        ProbeResult(EPOCH, status=200),
        ProbeResult(EPOCH, status=503),
        ProbeResult(EPOCH, status=429),
        ProbeResult(EPOCH, fault=Fault.TIMEOUT),
        ProbeResult(EPOCH, status=403),
    ],
    ids=["accepted", "down", "busy", "silent", "forbids everybody"],
)
async def test_no_answer_about_a_login_changes_nothing(bench: Bench, begin: Begin, answer: ProbeResult) -> None:
    """The next question follows after the same time."""
    await begin(basic())
    bench.login_check.answers = [answer]
    await bench.clock.advance(13 * HOURS)
    assert (len(bench.login_check.asked), bench.docker_login.tried) == (2, ["right"])
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {})


async def test_an_identity_token_that_dies_is_replaced(bench: Bench, begin: Begin) -> None:
    """The registry gave it for the password, which may still work: the agent logs in again at once."""
    await begin(basic())
    bench.reconciler.used = (Entry("", Sensitive("token"), identity_token=True), True)
    bench.login_check.answers = [REFUSED]
    await bench.clock.advance(6 * HOURS + 1)
    assert bench.login_check.asked == ["token"]
    assert bench.docker_login.tried == ["right", "right"]
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {})


async def test_a_persons_dead_login_is_reported_about_that_login(bench: Bench, begin: Begin) -> None:
    """The secret's password was not refused, so nothing is held back. A later answer takes it back."""
    await begin(basic())
    theirs = Entry("you", Sensitive("theirs"))
    bench.reconciler.used = (theirs, False)
    bench.login_check.answers = [REFUSED]
    await bench.clock.advance(6 * HOURS + 1)
    assert bench.reconciler.refused == theirs
    assert bench.rejections.held is None
    await bench.clock.advance(6 * HOURS)
    assert bench.reconciler.refused is None


@pytest.mark.parametrize("interval_s", [0.0, 60.0])
async def test_the_interval_of_the_checks_is_a_setting(bench: Bench, begin: Begin, interval_s: float) -> None:
    """0 means never. The jitter moves each one by up to a tenth."""
    bench.settings.value = replace(bench.settings.value, renewal=RenewalSettings(check_interval_s=interval_s))
    bench.jitter = 1.0
    await begin(basic())
    await bench.clock.advance(67 * 9)
    assert len(bench.login_check.asked) == (9 if interval_s else 0)


@pytest.mark.parametrize(("before_s", "after_s"), [(0.0, 60.0), (21600.0, 60.0), (60.0, 0.0)])
async def test_a_changed_interval_of_the_checks_counts_at_once(
    bench: Bench, begin: Begin, before_s: float, after_s: float
) -> None:
    """After SIGHUP, logins are woken. Without that, a check that was off would stay off until the next login."""
    bench.settings.value = replace(bench.settings.value, renewal=RenewalSettings(check_interval_s=before_s))
    registry_login = await begin(basic())
    await bench.clock.advance(30)
    bench.settings.value = replace(bench.settings.value, renewal=RenewalSettings(check_interval_s=after_s))
    registry_login.wake()
    await bench.clock.advance(9 * 60)
    assert len(bench.login_check.asked) == (9 if after_s else 0)


async def test_a_token_that_ends_is_renewed_instead_of_checked(bench: Bench, begin: Begin) -> None:
    await begin(native())
    await bench.clock.advance(24 * HOURS)
    assert bench.login_check.asked == []


# Docker no longer finds the login


@pytest.mark.parametrize("login", [basic(), native()], ids=["password", "token"])
async def test_a_login_that_docker_no_longer_finds_is_not_shown_as_logged_in(
    bench: Bench, begin: Begin, login: Login
) -> None:
    """The reconciler restores it, so there is no new attempt. Its renewal goes on."""
    registry_login = await begin(login)
    hostname = login.registry.hostname
    attempts = len(bench.docker_login.tried)
    bench.reconciler.lost_logins[hostname] = CredentialStoreFailed(hostname, "the store cannot store")
    registry_login.wake()
    await bench.clock.settle()
    assert (bench.state(), bench.row.last_error) == (State.RETRYING, "the store cannot store")
    bench.reconciler.lost_logins.clear()
    registry_login.wake()
    await bench.clock.settle()
    assert (bench.state(), bench.row.last_error) == (State.LOGGED_IN, None)
    assert len(bench.docker_login.tried) == attempts


async def test_a_store_that_works_again_is_used_at_once(bench: Bench, begin: Begin) -> None:
    """The login that Docker holds from an earlier run does not count while Docker cannot read its file."""
    problem = ConfigInvalid(ECR, "config.json is not valid")
    bench.reconciler.stored[ECR], bench.reconciler.problem = "earlier", problem
    bench.reconciler.lost_logins[ECR] = problem
    registry_login = await begin(native(), ends_at=bench.clock.now() + timedelta(hours=6))
    assert (bench.state(), set(bench.warnings)) == (State.RETRYING, {"config_invalid"})
    bench.reconciler.problem = None
    bench.reconciler.lost_logins.clear()
    registry_login.wake()
    await bench.clock.settle()
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {})


async def test_the_end_of_a_login_that_docker_does_not_use_is_not_reported(bench: Bench, begin: Begin) -> None:
    """A person's login works instead. Only the cause of the failing renewal is shown."""
    bench.reconciler.foreign = True
    await begin(native())
    assert (bench.state(), bench.row.expires_at) == (State.LOGGED_IN, None)
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    for _ in range(2):
        await bench.clock.advance(7 * HOURS)
        bench.time.observe(bench.clock.now())
        assert (bench.state(), set(bench.warnings)) == (State.LOGGED_IN, {"aws_unreachable"})
    assert bench.reconciler.stored


async def test_a_refused_renewal_does_not_hide_the_login_that_docker_uses_instead(bench: Bench, begin: Begin) -> None:
    """The agent's own token is valid for hours, and so is the person's login."""
    bench.reconciler.foreign = True
    await begin(native())
    bench.credentials.problem = AwsAccessDenied("aws", "not allowed")
    await bench.clock.advance(6 * HOURS + 60)
    assert (bench.state(), set(bench.warnings)) == (State.LOGGED_IN, {"aws_access_denied"})


async def test_a_renewal_that_could_not_be_stored_succeeds_at_once_when_the_store_is_repaired(
    bench: Bench, begin: Begin
) -> None:
    """Docker has found the former login all the time, so nothing was lost. The warning does not wait for the retry."""
    registry_login = await begin(native())
    bench.reconciler.problem = ConfigUnwritable(ECR, "the disk is full")
    await bench.clock.advance(6 * HOURS)
    assert (bench.state(), set(bench.warnings)) == (State.LOGGED_IN, {"config_unwritable", "renewal_failing"})
    bench.reconciler.problem = None
    registry_login.wake()
    await bench.clock.settle()
    assert (bench.state(), bench.warnings) == (State.LOGGED_IN, {})


@pytest.mark.parametrize("fails_before", [False, True])
async def test_a_login_that_the_reconciler_stored_later_stays_until_its_own_end(
    bench: Bench, begin: Begin, fails_before: bool
) -> None:
    """Not until that of the login before it, although each attempt fails since the store is repaired."""
    registry_login = await begin(native())
    bench.reconciler.problem = ConfigUnwritable(ECR, "the disk is full")
    await bench.clock.advance(6 * HOURS)
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    if fails_before:
        registry_login.request_now()
        await bench.clock.settle()
    bench.reconciler.problem = None
    bench.reconciler.store(Registry(ECR), "token-1", EPOCH + timedelta(hours=18))
    registry_login.wake()
    await bench.clock.advance(7 * HOURS)
    bench.time.observe(bench.clock.now())
    await bench.clock.advance(600)
    assert (bench.state(), bench.row.expires_at) == (State.LOGGED_IN, EPOCH + timedelta(hours=18))
    assert bench.reconciler.stored == {ECR: "token-1"}
    await bench.clock.advance(5 * HOURS)
    assert (bench.state(), bench.reconciler.stored) == (State.EXPIRED, {})


async def test_a_first_login_that_the_reconciler_stored_later_is_known_although_the_next_attempt_has_failed(
    bench: Bench, begin: Begin
) -> None:
    bench.reconciler.problem = ConfigUnwritable(ECR, "the disk is full")
    registry_login = await begin(native())
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    registry_login.request_now()
    await bench.clock.settle()
    assert bench.state() is State.RETRYING
    bench.reconciler.problem = None
    bench.reconciler.store(Registry(ECR), "token-0", EPOCH + timedelta(hours=12))
    registry_login.wake()
    await bench.clock.settle()
    assert (bench.state(), bench.row.expires_at) == (State.LOGGED_IN, EPOCH + timedelta(hours=12))


async def test_a_removal_that_waits_for_the_store_spares_a_login_that_was_stored_meanwhile(
    bench: Bench, begin: Begin
) -> None:
    await begin(native())
    bench.credentials.problem = AwsUnreachable("aws", "no route")
    slow = bench.reconciler.writing[ECR] = asyncio.Event()
    await bench.clock.advance(12 * HOURS + 600)
    bench.time.observe(bench.clock.now())
    await bench.clock.advance(600)
    assert bench.state() is State.EXPIRED
    bench.reconciler.store(Registry(ECR), "newer", EPOCH + timedelta(hours=24))
    slow.set()
    await bench.clock.settle()
    assert bench.reconciler.stored == {ECR: "newer"}


async def test_a_login_of_an_earlier_start_ends_when_the_login_that_docker_holds_does(
    bench: Bench, begin: Begin
) -> None:
    """A kill during a renewal can leave the former login, or the new one."""
    bench.reconciler.store(Registry(ECR), "earlier", EPOCH + timedelta(hours=2))
    bench.credentials.problem = AwsUnreachable("aws", "down")
    await begin(native(), ends_at=EPOCH + timedelta(hours=6))
    assert (bench.state(), bench.row.expires_at) == (State.LOGGED_IN, EPOCH + timedelta(hours=2))
    await bench.clock.advance(2 * HOURS + 1)
    assert bench.state() is State.EXPIRED


async def test_a_lost_login_whose_renewal_fails_is_not_shown_as_logged_in(bench: Bench, begin: Begin) -> None:
    registry_login = await begin(native())
    bench.reconciler.lost_logins[ECR] = CredentialStoreFailed(ECR, "the store cannot store")
    bench.credentials.problem = AwsUnreachable("aws", "down")
    registry_login.wake()
    await bench.clock.advance(7 * HOURS)
    assert bench.state() is State.RETRYING
    bench.reconciler.lost_logins.clear()
    registry_login.wake()
    await bench.clock.settle()
    assert bench.state() is State.LOGGED_IN
