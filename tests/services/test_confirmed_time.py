"""How far servers have confirmed the clock."""

from datetime import timedelta

import pytest

from agent.model.deadline import Deadline
from agent.model.docker_results import ProbeResult
from agent.model.registry import Registry
from agent.services.confirmed_time import ConfirmedTime
from tests.fakes import EPOCH, FakeClock

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def time(clock: FakeClock) -> ConfirmedTime:
    return ConfirmedTime(clock)


def test_nothing_is_proven_before_a_server_has_answered(time: ConfirmedTime) -> None:
    """An answer without a time, or with another time, proves nothing."""
    assert time.now().proven is None
    time.observe(None)
    time.observe(EPOCH - timedelta(minutes=6))
    time.observe(EPOCH + timedelta(minutes=6))
    assert time.now().proven is None
    assert not time.now().proves(EPOCH - timedelta(days=3650))


@pytest.mark.parametrize(("server_minutes", "proven_minutes"), [(4, 0), (-4, -4)])
def test_the_earlier_of_both_times_is_proven(time: ConfirmedTime, server_minutes: int, proven_minutes: int) -> None:
    """A server and the wall clock may differ by five minutes. Either can be the one that is ahead."""
    time.observe(EPOCH + timedelta(minutes=server_minutes))
    assert time.now().proven == EPOCH + timedelta(minutes=proven_minutes)
    assert time.now().proves(EPOCH - timedelta(minutes=4))
    assert not time.now().proves(EPOCH + timedelta(seconds=1))


async def test_proven_time_passes_with_the_machine_and_not_with_its_clock(
    clock: FakeClock, time: ConfirmedTime
) -> None:
    """A suspend counts. A clock that is set, in either direction, does not, until a server agrees with it."""
    time.observe(clock.now())
    await clock.advance(60)
    clock.suspend(3600)
    assert time.now().proven == clock.now() == EPOCH + HOUR + timedelta(seconds=60)
    before = time.now().proven
    for leap in (13 * 3600, -400 * 24 * 3600):
        clock.jump(leap)
        assert time.now().proven == before
    time.observe(clock.now())
    assert time.now().proven == clock.now()


def test_while_the_clock_is_known_to_be_wrong_only_the_proven_time_counts(
    clock: FakeClock, time: ConfirmedTime
) -> None:
    """Whether a server shows another time, or only refuses ours. A later answer that agrees ends it."""
    end = Deadline.when(EPOCH + HOUR, EPOCH, 0.0)
    clock.jump(2 * 3600)
    assert time.now().left(end) == -3600
    time.doubt()
    assert time.now().left(end) == float("inf")
    time.observe(clock.now())
    assert (time.now().clock_is_off, time.now().left(end)) == (False, -3600)
    time.observe(EPOCH)
    assert (time.now().clock_is_off, time.now().left(end)) == (True, -3600)


async def test_each_answer_of_a_registry_is_compared(clock: FakeClock, time: ConfirmedTime) -> None:
    """Also one that refuses the request."""

    async def probe(registry: Registry, credential: object, timeout: float) -> ProbeResult:
        assert registry.hostname
        assert (credential, timeout) == (None, 5.0)
        return ProbeResult(clock.now(), status=503, server_time=clock.now())

    result = await time.observing(probe)(Registry("ghcr.io"), None, 5.0)
    assert result.status == 503
    assert time.now().proven == EPOCH
