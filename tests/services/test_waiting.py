"""Waiting for files to change, whether or not somebody looks for everyone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.services.waiting import until_next_beat, wait_for_change
from tests.fakes import ClockedFileWatcher, FakeClock


@asynccontextmanager
async def waiting(
    clock: FakeClock, watcher: ClockedFileWatcher, changed: asyncio.Event
) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(wait_for_change(clock, watcher, changed, 1))
    await clock.settle()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_change_ends_it_and_nothing_else() -> None:
    """While the watcher turns no tick does."""
    clock, changed = FakeClock(), asyncio.Event()
    async with waiting(clock, ClockedFileWatcher(clock), changed) as task:
        await clock.advance(3600)
        assert not task.done()
        changed.set()
        await clock.settle()
        assert task.done()
        assert not changed.is_set()


async def test_a_lookout_that_hangs_is_noticed() -> None:
    """Within five seconds everyone looks for themselves."""
    clock, watcher = FakeClock(), ClockedFileWatcher(FakeClock())
    async with waiting(clock, watcher, asyncio.Event()) as task:
        watcher.alive = False
        await clock.advance(5)
        assert task.done()


async def test_a_lookout_that_turns_again_is_no_reason_to_trust_the_last_look() -> None:
    """What that found may have been the very fault that is over."""
    clock, watcher = FakeClock(), ClockedFileWatcher(FakeClock())
    watcher.alive = False
    async with waiting(clock, watcher, asyncio.Event()) as task:
        watcher.alive = True
        await clock.advance(1)
        assert task.done()


async def test_who_has_time_wakes_with_the_others() -> None:
    """At whole multiples."""
    clock = FakeClock()
    await clock.advance(13)
    assert until_next_beat(clock, 10) == 7
    assert until_next_beat(clock, 30) == 17
