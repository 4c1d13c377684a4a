"""Waiting for files to change, with and without a working file watcher."""

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


async def test_only_a_change_ends_the_wait() -> None:
    """While the watcher is alive, time alone does not end it."""
    clock, changed = FakeClock(), asyncio.Event()
    async with waiting(clock, ClockedFileWatcher(clock), changed) as task:
        await clock.advance(3600)
        assert not task.done()
        changed.set()
        await clock.settle()
        assert task.done()
        assert not changed.is_set()


async def test_a_watcher_that_hangs_is_noticed() -> None:
    """Within five seconds, components poll their own files."""
    clock, watcher = FakeClock(), ClockedFileWatcher(FakeClock())
    async with waiting(clock, watcher, asyncio.Event()) as task:
        watcher.alive = False
        await clock.advance(5)
        assert task.done()


async def test_a_watcher_that_recovers_ends_the_wait_once() -> None:
    """A change during its failure may have gone unnoticed."""
    clock, watcher = FakeClock(), ClockedFileWatcher(FakeClock())
    watcher.alive = False
    async with waiting(clock, watcher, asyncio.Event()) as task:
        watcher.alive = True
        await clock.advance(1)
        assert task.done()


async def test_beats_are_shared() -> None:
    """Loops with the same interval wake at the same time: at multiples of the interval."""
    clock = FakeClock()
    await clock.advance(13)
    assert until_next_beat(clock, 10) == 7
    assert until_next_beat(clock, 30) == 17
