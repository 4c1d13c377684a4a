"""All registries of an identity share one token and its failures."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agent.model.credential import AwsIdentity, AwsKeys, Credential, Token, TokenSource
from agent.model.password_source import PasswordField, PasswordOrigin, PasswordSource
from agent.model.problem import Problem, ProblemError
from agent.model.problems.aws import AwsAccessDenied, AwsThrottled, AwsUnreachable
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.services.credentials import Credentials
from agent.services.retries import wait_after
from agent.settings import AwsSettings, Settings
from tests.fakes import EPOCH, FakeClock, FakeLog
from tests.problems import raises_problem

IDENTITY = AwsIdentity("eu-west-1")
LIFE = timedelta(hours=12)


class FakeAws:
    """Returns a new token for each request. While `open` is cleared, requests do not finish."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.requests: list[TokenSource] = []
        self.cancelled = 0
        self.open = asyncio.Event()
        self.open.set()
        self.asked: Callable[[], object] = lambda: None
        self.failure: Problem | None = None
        self.life = LIFE
        self.server_time: datetime | None = None
        self.reserve: timedelta | None = None
        self.same = False

    async def fetch_token(self, source: TokenSource, settings: Settings) -> Token:
        assert settings.aws.call_timeout_s > 0
        self.requests.append(source)
        self.asked()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise ProblemError(self.failure)
        password = Sensitive("the same" if self.same else f"token-{len(self.requests)}")
        end = self._clock.now() + self.life
        return Token("AWS", password, end, "arn:aws:x", self.server_time, self.reserve)


class FakeBoard:
    def __init__(self) -> None:
        self.reports: list[list[Problem]] = []

    def report(self, owner: str, problems: Iterable[Problem] = (), *, repeat: bool = True) -> None:
        assert owner
        assert repeat
        self.reports.append(list(problems))


class Bench:
    """The service with all its dependencies. `draws` counts how often a jitter was drawn."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.aws = FakeAws(self.clock)
        self.board = FakeBoard()
        self.log = FakeLog()
        self.settings = Settings()
        self.draws = 0
        self.credentials = Credentials(
            fetch=self.aws.fetch_token,
            clock=self.clock,
            settings=lambda: self.settings,
            board=self.board,
            log=self.log,
            jitter=self._draw,
            on_token=lambda: self.notified.append(self.credentials.may_work(IDENTITY)),
        )
        self.notified: list[bool] = []

    def _draw(self) -> float:
        self.draws += 1
        return 0.0

    async def get(
        self,
        stale: Credential | None = None,
        *,
        identity: TokenSource = IDENTITY,
        subject: str = "a.example",
        force: bool = False,
    ) -> Credential:
        return await self.credentials.credential(identity, subject, stale=stale, force=force)

    async def failure(self, subject: str = "a.example", *, force: bool = False) -> Problem:
        with raises_problem(Problem) as caught:
            await self.get(subject=subject, force=force)
        return caught.value


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_twenty_registries_share_one_request(bench: Bench) -> None:
    """At the same time or later, as long as the token is valid. The jitter of its renewal is drawn once."""
    bench.aws.open.clear()
    waiting = [asyncio.create_task(bench.get(subject=f"{n}.example")) for n in range(20)]
    await bench.clock.settle()
    bench.aws.open.set()
    tokens = await asyncio.gather(*waiting)
    late = await bench.get()
    assert len(bench.aws.requests) == 1
    assert {id(one) for one in [*tokens, late]} == {id(late)}
    assert bench.draws == 1
    assert (late.obtained_at, late.expires_at, late.renew_at) == (EPOCH, EPOCH + LIFE, EPOCH + LIFE / 2)
    assert late.identity == "arn:aws:x"


async def test_each_identity_and_region_has_its_own_token(bench: Bench) -> None:
    """A token is bound to the principal and the region."""
    keys = AwsKeys("AKIA1", Sensitive("k"))
    others = [IDENTITY, replace(IDENTITY, region="us-east-1"), replace(IDENTITY, keys=keys)]
    tokens = [await bench.get(identity=identity) for identity in others]
    assert len(bench.aws.requests) == len({one.password for one in tokens}) == 3


async def test_a_stale_token_is_replaced_once(bench: Bench) -> None:
    """A second caller with the same stale token gets the token that the first caller fetched."""
    old = await bench.get()
    await bench.clock.advance(6 * 3600)
    new = await bench.get(old)
    assert new.password != old.password
    assert await bench.get(old) == new
    assert len(bench.aws.requests) == 2


async def test_an_expired_token_is_not_handed_out(bench: Bench) -> None:
    """A new registry must not get a token that has expired for the others."""
    old = await bench.get()
    bench.clock.jump(13 * 3600)
    assert await bench.get() != old


async def test_a_token_that_is_expired_from_the_start_does_not_spin(bench: Bench) -> None:
    """Test servers issue such tokens. Requests wait until `renewal.min_interval_s` has passed since the last one."""
    bench.aws.life = timedelta(days=-3650)
    current = await bench.get()
    assert await bench.get() == current
    assert current.renew_at == EPOCH + timedelta(seconds=5)
    renewing = asyncio.create_task(bench.get(current, force=True))
    await bench.clock.advance(4.9)
    assert len(bench.aws.requests) == 1
    await bench.clock.advance(0.2)
    assert (await renewing) != current
    assert len(bench.aws.requests) == 2


async def test_a_cancelled_caller_does_not_cancel_the_request_of_others(bench: Bench) -> None:
    """Removing the secret of one registry must not fail the others."""
    bench.aws.open.clear()
    first, second = (asyncio.create_task(bench.get()) for _ in range(2))
    await bench.clock.settle()
    first.cancel()
    await bench.clock.settle()
    bench.aws.open.set()
    assert (await second).username == "AWS"
    assert first.cancelled()
    assert (len(bench.aws.requests), bench.aws.cancelled) == (1, 0)


async def test_a_request_without_callers_is_cancelled(bench: Bench) -> None:
    """No request remains when the agent stops. A later caller starts a new one."""
    bench.aws.open.clear()
    only = asyncio.create_task(bench.get())
    await bench.clock.settle()
    only.cancel()
    await bench.clock.settle()
    assert bench.aws.cancelled == 1
    bench.aws.open.set()
    assert (await bench.get()).username == "AWS"


async def test_a_failure_is_shared_with_one_retry_time(bench: Bench) -> None:
    """Twenty registries of one identity cause one request. Each problem names its own registry."""
    bench.aws.failure = AwsThrottled("aws", "slow down")
    problems = await asyncio.gather(*(bench.failure(f"{n}.example") for n in range(20)))
    assert len(bench.aws.requests) == 1
    assert {problem.subject for problem in problems} == {f"{n}.example" for n in range(20)}
    [wait] = {problem.wait for problem in problems}
    assert wait is not None
    assert timedelta(0) <= wait <= timedelta(seconds=1)


async def test_a_call_before_the_retry_time_gets_the_same_failure(bench: Bench) -> None:
    """Without a request to AWS, and with the rest of the wait. After the wait, the next call asks AWS again."""
    bench.aws.failure = AwsAccessDenied("aws", "no")
    await bench.failure()
    await bench.clock.advance(800)
    late = await bench.failure("late.example")
    assert (len(bench.aws.requests), late.wait) == (1, timedelta(seconds=1000))
    assert wait_after(late, 1, bench.settings.retry) == 1000
    await bench.clock.advance(1000)
    bench.aws.failure = None
    assert (await bench.get()).username == "AWS"


async def test_force_does_not_wait_for_the_retry_time(bench: Bench) -> None:
    """`renew` and a changed secret use it."""
    bench.aws.failure = AwsAccessDenied("aws", "no")
    await bench.failure()
    await bench.failure(force=True)
    assert len(bench.aws.requests) == 2
    bench.aws.failure = None
    assert (await bench.get(force=True)).username == "AWS"


async def test_a_suspend_does_not_prolong_the_wait(bench: Bench) -> None:
    """The monotonic clock stood still, but the wall clock moved on."""
    bench.aws.failure = AwsAccessDenied("aws", "no")
    await bench.failure()
    bench.clock.jump(3600)
    await bench.failure()
    assert len(bench.aws.requests) == 2


async def test_a_failed_renewal_keeps_the_valid_token(bench: Bench) -> None:
    """Static stability: a new registry still gets the token while its renewal fails."""
    current = await bench.get()
    await bench.clock.advance(6 * 3600)
    bench.aws.failure = AwsThrottled("aws", "slow down")
    with raises_problem(AwsThrottled):
        await bench.get(current)
    assert await bench.get() == current


async def longest_wait(bench: Bench, current: Credential) -> timedelta:
    """The longest of sixty waits, each after another failed renewal of `current`."""
    bench.aws.failure = AwsThrottled("aws", "slow down")
    waits = []
    for _ in range(60):
        with raises_problem(AwsThrottled) as caught:
            await bench.get(current, force=True)
        waits.append(caught.value.wait or timedelta())
    return max(waits)


@pytest.mark.parametrize(("age_h", "least_s", "most_s"), [(6, 300, 1800), (9.5, 100, 300), (13, 100, 300)])
async def test_a_due_renewal_waits_longer_while_its_token_is_valid(
    bench: Bench, age_h: float, least_s: float, most_s: float
) -> None:
    """After half of its life up to half an hour; in the last quarter, and once expired, up to `retry.max_wait_s`."""
    current = await bench.get()
    await bench.clock.advance(age_h * 3600)
    assert timedelta(seconds=least_s) < await longest_wait(bench, current) <= timedelta(seconds=most_s)


async def test_an_early_renewal_does_not_wait_longer(bench: Bench) -> None:
    """Before a renewal is due, only a person requests it."""
    current = await bench.get()
    await bench.clock.advance(5 * 3600)
    assert await longest_wait(bench, current) <= timedelta(seconds=300)


async def test_consecutive_failures_are_counted(bench: Bench) -> None:
    """They increase the waits. A token resets the count."""
    bench.aws.failure = AwsThrottled("aws", "slow down")
    for _ in range(3):
        await bench.failure(force=True)
    bench.aws.failure = None
    current = await bench.get(force=True)
    bench.aws.failure = AwsThrottled("aws", "slow down")
    await bench.clock.advance(5)
    with raises_problem(AwsThrottled):
        await bench.get(current)
    failures = [fields["failures"] for _, event, fields in bench.log.events if event == "token.failed"]
    assert failures == [1, 2, 3, 1]
    assert "token.obtained" in bench.log.names()


async def test_a_wrong_clock_is_reported_although_aws_answers(bench: Bench) -> None:
    """The warning clears with the next answer that shows the right time."""
    bench.aws.server_time = EPOCH + timedelta(minutes=20)
    current = await bench.get()
    assert [[p.code for p in report] for report in bench.board.reports] == [["clock_skew"]]
    assert "20 min behind" in bench.board.reports[0][0].message
    bench.aws.server_time = None
    await bench.clock.advance(5)
    await bench.get(current)
    assert bench.board.reports[1] == []


@pytest.mark.parametrize("off", [timedelta(hours=-3), timedelta(hours=3)])
async def test_a_wrong_clock_moves_no_renewal(bench: Bench, off: timedelta) -> None:
    """A cloud shows when a token ends. With a clock that is behind, it would be renewed long after that."""
    right = (await bench.get()).renew_at
    bench.credentials.retain(())
    bench.aws.server_time, bench.aws.life = EPOCH - off, LIFE - off
    assert (await bench.get()).renew_at == right


async def test_the_changed_files_of_a_cloud_matter_only_while_its_identity_fails(bench: Bench) -> None:
    """Each use of the cloud's tools changes them. After a login by a person, no wait is left."""
    assert not bench.credentials.source_changed(IDENTITY)
    current = await bench.get()
    assert not bench.credentials.source_changed(IDENTITY)
    await bench.clock.advance(6 * 3600)
    bench.aws.failure = AwsThrottled("aws", "slow down")
    with raises_problem(AwsThrottled):
        await bench.get(current)
    bench.aws.failure = None
    assert bench.credentials.source_changed(IDENTITY)
    assert await bench.get() == current
    assert await bench.get(current) != current


@pytest.mark.parametrize("earlier", [0, 1], ids=["first failure", "second failure"])
async def test_files_that_change_during_a_request_are_used_at_once(bench: Bench, earlier: int) -> None:
    """A person writes the key id and the secret one after the other, so the first request meets the wrong pair."""
    bench.aws.failure = AwsAccessDenied("aws", "no")
    for _ in range(earlier):
        await bench.failure()

    def asked() -> None:
        if len(bench.aws.requests) == earlier + 1:
            bench.credentials.source_changed(IDENTITY)
        else:
            bench.aws.failure = None

    bench.aws.asked = asked
    assert (await bench.get(force=True)).username == "AWS"
    assert len(bench.aws.requests) == earlier + 2


async def test_files_that_change_with_each_request_cause_one_more_request(bench: Bench) -> None:
    """Some programs write to them whenever they are asked."""
    bench.aws.failure = AwsAccessDenied("aws", "no")
    bench.aws.asked = lambda: bench.credentials.source_changed(IDENTITY)
    await bench.failure()
    assert len(bench.aws.requests) == 2
    await bench.failure()
    assert len(bench.aws.requests) == 2, "no wait after the failure"


async def test_a_password_command_does_not_clear_the_warning_about_the_clock_of_aws(bench: Bench) -> None:
    """Its output shows no time."""
    bench.aws.server_time = EPOCH + timedelta(minutes=20)
    await bench.get()
    bench.aws.server_time = None
    await bench.get(identity=PasswordSource(PasswordOrigin(PasswordField.COMMAND, ("vault",)), Registry("a.example")))
    assert [[p.code for p in report] for report in bench.board.reports] == [["clock_skew"]]


async def test_changed_aws_settings_discard_the_token(bench: Bench) -> None:
    """After a reload with another profile, the token of the old profile is not used."""
    old = await bench.get()
    bench.settings = replace(bench.settings, aws=AwsSettings(profile="other"))
    assert await bench.get() != old


async def test_registries_that_failed_may_retry_after_the_first_token(bench: Bench) -> None:
    """`on_token` reports the first token after a failure. Changed settings allow a retry too."""
    assert not bench.credentials.may_work(IDENTITY)
    bench.aws.failure = AwsUnreachable("aws", "x")
    await bench.failure()
    assert not bench.credentials.may_work(IDENTITY)
    bench.settings = replace(bench.settings, aws=AwsSettings(profile="other"))
    assert bench.credentials.may_work(IDENTITY)
    await bench.failure()
    assert not bench.credentials.may_work(IDENTITY)
    bench.aws.failure = None
    await bench.get(force=True)
    assert bench.notified == [True]


async def test_tokens_of_unused_identities_are_forgotten(bench: Bench) -> None:
    """They do not stay in memory."""
    old = await bench.get()
    bench.credentials.retain([])
    assert await bench.get() != old
    bench.credentials.retain([IDENTITY])
    await bench.get()
    assert len(bench.aws.requests) == 2


async def test_the_same_token_again_is_no_failure(bench: Bench) -> None:
    """Google's metadata server gives the same token until shortly before its end. Nothing is reported."""
    bench.aws.life, bench.aws.reserve, bench.aws.same = timedelta(hours=1), timedelta(seconds=225), True
    first = await bench.get()
    assert first.renew_at == EPOCH + timedelta(seconds=3375)
    await bench.clock.advance(3375)
    bench.aws.life = timedelta(seconds=225)
    again = await bench.get(first)
    assert (again.password, again.expires_at) == (first.password, first.expires_at)
    assert again.renew_at == EPOCH + timedelta(seconds=3375 + 22.5)
    assert "token.failed" not in bench.log.names()


async def test_no_token_is_logged(bench: Bench) -> None:
    """Only the identity, the region and the times are."""
    await bench.get()
    assert "token-1" not in repr(bench.log.events)
