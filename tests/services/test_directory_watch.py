"""The agent stops when it loses Docker's directory."""

import asyncio
from contextlib import suppress

from agent.services.directory_watch import DirectoryWatch
from tests.fakes import ClockedFileWatcher, FakeClock


async def test_a_lost_directory_is_reported_once() -> None:
    """It is checked every two seconds. The callback stops the agent."""
    clock, lost, calls = FakeClock(), False, list[str]()
    watcher = ClockedFileWatcher(clock)
    task = asyncio.create_task(DirectoryWatch("sandbox", lambda: not lost, watcher, lambda: calls.append("lost")).run())
    await clock.settle()
    await clock.advance(10)
    assert not calls
    lost = True
    await clock.advance(2)
    assert calls == ["lost"]
    await clock.advance(10)
    assert calls == ["lost"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
