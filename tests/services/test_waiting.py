"""Waiting for files to change, whether or not somebody looks for everyone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.services.waiting import until_beat, wait_for_change
from tests.fakes import ClockedLookout, FakeClock


@asynccontextmanager
async def waiting(
    clock: FakeClock, lookout: ClockedLookout, changed: asyncio.Event
) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(wait_for_change(clock, lookout, changed, 1))
    await clock.settle()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_change_ends_it_and_nothing_else() -> None:
    """While the lookout turns no tick does."""
    clock, changed = FakeClock(), asyncio.Event()
    async with waiting(clock, ClockedLookout(clock), changed) as task:
        await clock.advance(3600)
        assert not task.done()
        changed.set()
        await clock.settle()
        assert task.done()
        assert not changed.is_set()


async def test_a_lookout_that_hangs_is_noticed() -> None:
    """Within five seconds everyone looks for themselves."""
    clock, lookout = FakeClock(), ClockedLookout(FakeClock())
    async with waiting(clock, lookout, asyncio.Event()) as task:
        lookout.turning = False
        await clock.advance(5)
        assert task.done()


async def test_a_lookout_that_turns_again_is_no_reason_to_trust_the_last_look() -> None:
    """What that found may have been the very fault that is over."""
    clock, lookout = FakeClock(), ClockedLookout(FakeClock())
    lookout.turning = False
    async with waiting(clock, lookout, asyncio.Event()) as task:
        lookout.turning = True
        await clock.advance(1)
        assert task.done()


async def test_who_has_time_wakes_with_the_others() -> None:
    """At whole multiples."""
    clock = FakeClock()
    await clock.advance(13)
    assert until_beat(clock, 10) == 7
    assert until_beat(clock, 30) == 17
