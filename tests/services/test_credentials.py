"""One token for all registries of an identity, and one failure."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agent.model.credential import AwsIdentity, AwsKeys, Credential, EcrToken
from agent.model.problem import Problem, ProblemError
from agent.model.problems.aws import AwsAccessDenied, AwsThrottled, AwsUnreachable
from agent.model.sensitive import Sensitive
from agent.services.credentials import Credentials
from agent.services.retries import wait_after
from agent.settings import AwsSettings, Settings
from tests.fakes import EPOCH, FakeClock, FakeLog
from tests.problems import raises_problem

IDENTITY = AwsIdentity("eu-west-1")
LIFE = timedelta(hours=12)


class FakeAws:
    """Gives a new token at each question; holds its answer back while `open` is cleared."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.asked: list[AwsIdentity] = []
        self.cancelled = 0
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Problem | None = None
        self.life = LIFE
        self.server_time: datetime | None = None

    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> EcrToken:
        assert settings.call_timeout_s > 0
        self.asked.append(identity)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise ProblemError(self.failure)
        password = Sensitive(f"token-{len(self.asked)}")
        return EcrToken("AWS", password, self._clock.now() + self.life, "arn:aws:x", self.server_time)


class FakeBoard:
    def __init__(self) -> None:
        self.reports: list[list[Problem]] = []

    def report(self, owner: str, problems: Iterable[Problem] = ()) -> None:
        assert owner
        self.reports.append(list(problems))


class World:
    """The service with all its dependencies; `draw` is what the renewals' spread is drawn as."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.aws = FakeAws(self.clock)
        self.board = FakeBoard()
        self.log = FakeLog()
        self.settings = Settings()
        self.draws = 0
        self.credentials = Credentials(
            tokens=self.aws,
            clock=self.clock,
            settings=lambda: self.settings,
            board=self.board,
            log=self.log,
            jitter=self._draw,
            on_token=lambda: self.news.append(self.credentials.may_work(IDENTITY)),
        )
        self.news: list[bool] = []

    def _draw(self) -> float:
        self.draws += 1
        return 0.0

    async def get(
        self,
        stale: Credential | None = None,
        *,
        identity: AwsIdentity = IDENTITY,
        subject: str = "a.example",
        force: bool = False,
    ) -> Credential:
        return await self.credentials.credential(identity, subject, stale=stale, force=force)

    async def failure(self, subject: str = "a.example", *, force: bool = False) -> Problem:
        with raises_problem(Problem) as caught:
            await self.get(subject=subject, force=force)
        return caught.value


@pytest.fixture
def world() -> World:
    return World()


async def test_twenty_registries_share_one_question(world: World) -> None:
    """At once or later, as long as the token lives; its renewal is drawn once."""
    world.aws.open.clear()
    waiting = [asyncio.create_task(world.get(subject=f"{n}.example")) for n in range(20)]
    await world.clock.settle()
    world.aws.open.set()
    got = await asyncio.gather(*waiting)
    late = await world.get()
    assert len(world.aws.asked) == 1
    assert {id(one) for one in [*got, late]} == {id(late)}
    assert world.draws == 1
    assert (late.obtained_at, late.expires_at, late.renew_at) == (EPOCH, EPOCH + LIFE, EPOCH + LIFE / 2)
    assert late.identity == "arn:aws:x"


async def test_other_identities_and_regions_have_their_own(world: World) -> None:
    """A token is bound to the principal and the region."""
    keys = AwsKeys("AKIA1", Sensitive("k"))
    others = [IDENTITY, replace(IDENTITY, region="us-east-1"), replace(IDENTITY, keys=keys)]
    got = [await world.get(identity=identity) for identity in others]
    assert len(world.aws.asked) == len({one.password for one in got}) == 3


async def test_a_stale_token_is_replaced_once_for_all(world: World) -> None:
    """Who comes second with the same stale token gets the one that the first has brought."""
    old = await world.get()
    await world.clock.advance(6 * 3600)
    new = await world.get(old)
    assert new.password != old.password
    assert await world.get(old) == new
    assert len(world.aws.asked) == 2


async def test_an_expired_token_is_not_handed_out(world: World) -> None:
    """A registry that comes anew must not get what the others have long replaced or lost."""
    old = await world.get()
    world.clock.jump(13 * 3600)
    assert await world.get() != old


async def test_a_token_born_expired_does_not_spin(world: World) -> None:
    """Stand-ins give such: between two questions lie at least `renewal.min_interval_s`, waited out and not failed."""
    world.aws.life = timedelta(days=-3650)
    held = await world.get()
    assert await world.get() == held
    assert held.renew_at == EPOCH + timedelta(seconds=5)
    renewing = asyncio.create_task(world.get(held, force=True))
    await world.clock.advance(4.9)
    assert len(world.aws.asked) == 1
    await world.clock.advance(0.2)
    assert (await renewing) != held
    assert len(world.aws.asked) == 2


async def test_a_waiter_that_goes_leaves_the_flight_to_the_others(world: World) -> None:
    """A removed secret's registry must not fail its neighbours."""
    world.aws.open.clear()
    first, second = (asyncio.create_task(world.get()) for _ in range(2))
    await world.clock.settle()
    first.cancel()
    await world.clock.settle()
    world.aws.open.set()
    assert (await second).username == "AWS"
    assert first.cancelled()
    assert (len(world.aws.asked), world.aws.cancelled) == (1, 0)


async def test_the_last_waiter_takes_the_flight_with_it(world: World) -> None:
    """At the agent's end nothing is left behind; who comes then flies anew."""
    world.aws.open.clear()
    only = asyncio.create_task(world.get())
    await world.clock.settle()
    only.cancel()
    await world.clock.settle()
    assert world.aws.cancelled == 1
    world.aws.open.set()
    assert (await world.get()).username == "AWS"


async def test_a_failure_is_everyones_with_one_moment_to_come_back(world: World) -> None:
    """Twenty registries of one identity ask AWS once, each problem is about its registry."""
    world.aws.failure = AwsThrottled("aws", "slow down")
    problems = await asyncio.gather(*(world.failure(f"{n}.example") for n in range(20)))
    assert len(world.aws.asked) == 1
    assert {problem.subject for problem in problems} == {f"{n}.example" for n in range(20)}
    [wait] = {problem.wait for problem in problems}
    assert wait is not None
    assert timedelta(0) <= wait <= timedelta(seconds=1)


async def test_who_comes_before_that_moment_gets_the_same_failure(world: World) -> None:
    """Without a question to AWS, and with what is left of the wait; after it AWS is asked again."""
    world.aws.failure = AwsAccessDenied("aws", "no")
    await world.failure()
    await world.clock.advance(800)
    late = await world.failure("late.example")
    assert (len(world.aws.asked), late.wait) == (1, timedelta(seconds=1000))
    assert wait_after(late, 1, world.settings.retry) == 1000
    await world.clock.advance(1000)
    world.aws.failure = None
    assert (await world.get()).username == "AWS"


async def test_a_person_does_not_wait_for_it(world: World) -> None:
    """`renew` and a changed secret ask at once."""
    world.aws.failure = AwsAccessDenied("aws", "no")
    await world.failure()
    await world.failure(force=True)
    assert len(world.aws.asked) == 2
    world.aws.failure = None
    assert (await world.get(force=True)).username == "AWS"


async def test_a_sleeping_machine_does_not_prolong_the_wait(world: World) -> None:
    """The monotonic clock stood still, the wall clock has moved on."""
    world.aws.failure = AwsAccessDenied("aws", "no")
    await world.failure()
    world.clock.jump(3600)
    await world.failure()
    assert len(world.aws.asked) == 2


async def test_a_failed_renewal_leaves_the_valid_token(world: World) -> None:
    """Static stability: a registry that comes anew is served while the renewal fails."""
    held = await world.get()
    await world.clock.advance(6 * 3600)
    world.aws.failure = AwsThrottled("aws", "slow down")
    with raises_problem(AwsThrottled):
        await world.get(held)
    assert await world.get() == held


async def longest_wait(world: World, held: Credential) -> timedelta:
    """Of sixty after so many failures of the renewal of what is held."""
    world.aws.failure = AwsThrottled("aws", "slow down")
    waits = []
    for _ in range(60):
        with raises_problem(AwsThrottled) as caught:
            await world.get(held, force=True)
        waits.append(caught.value.wait or timedelta())
    return max(waits)


@pytest.mark.parametrize(("age_h", "least_s", "most_s"), [(6, 300, 1800), (9.5, 100, 300), (13, 100, 300)])
async def test_a_due_renewal_lets_those_go_first_who_have_no_token(
    world: World, age_h: float, least_s: float, most_s: float
) -> None:
    """Half used it may wait half an hour; in the last quarter, and when it has ended, `retry.max_wait_s`."""
    held = await world.get()
    await world.clock.advance(age_h * 3600)
    assert timedelta(seconds=least_s) < await longest_wait(world, held) <= timedelta(seconds=most_s)


async def test_a_person_who_renews_early_does_not_wait_for_a_fleet(world: World) -> None:
    """Before it is due, only somebody who asks brings a renewal."""
    held = await world.get()
    await world.clock.advance(5 * 3600)
    assert await longest_wait(world, held) <= timedelta(seconds=300)


async def test_failures_in_a_row_are_counted_and_forgotten(world: World) -> None:
    """They widen the waits; a token ends the row."""
    world.aws.failure = AwsThrottled("aws", "slow down")
    for _ in range(3):
        await world.failure(force=True)
    world.aws.failure = None
    held = await world.get(force=True)
    world.aws.failure = AwsThrottled("aws", "slow down")
    await world.clock.advance(5)
    with raises_problem(AwsThrottled):
        await world.get(held)
    failures = [fields["failures"] for _, event, fields in world.log.events if event == "token.failed"]
    assert failures == [1, 2, 3, 1]
    assert "token.obtained" in world.log.names()


async def test_a_clock_that_is_off_shows_though_aws_answers(world: World) -> None:
    """And the warning goes with the next answer."""
    world.aws.server_time = EPOCH + timedelta(minutes=20)
    held = await world.get()
    assert [[p.code for p in report] for report in world.board.reports] == [["clock_skew"]]
    assert "20 min behind" in world.board.reports[0][0].message
    world.aws.server_time = None
    await world.clock.advance(5)
    await world.get(held)
    assert world.board.reports[1] == []


async def test_other_aws_settings_ask_anew(world: World) -> None:
    """After a reload with another profile the old profile's token is nobody's."""
    old = await world.get()
    world.settings = replace(world.settings, aws=AwsSettings(profile="other"))
    assert await world.get() != old


async def test_who_failed_may_come_when_it_works_again(world: World) -> None:
    """All who share the identity hear of its first token after a failure; other settings free them too."""
    assert not world.credentials.may_work(IDENTITY)
    world.aws.failure = AwsUnreachable("aws", "x")
    await world.failure()
    assert not world.credentials.may_work(IDENTITY)
    world.settings = replace(world.settings, aws=AwsSettings(profile="other"))
    assert world.credentials.may_work(IDENTITY)
    await world.failure()
    assert not world.credentials.may_work(IDENTITY)
    world.aws.failure = None
    await world.get(force=True)
    assert world.news == [True]


async def test_identities_no_longer_used_are_forgotten(world: World) -> None:
    """Their tokens leave the memory."""
    old = await world.get()
    world.credentials.retain([])
    assert await world.get() != old
    world.credentials.retain([IDENTITY])
    await world.get()
    assert len(world.aws.asked) == 2


async def test_no_token_reaches_the_log(world: World) -> None:
    """Only who, where, when."""
    await world.get()
    assert "token-1" not in repr(world.log.events)
