"""The agent stops when it loses Docker's directory."""

import asyncio
from contextlib import suppress

from agent.services.directory_watch import DirectoryWatch
from tests.fakes import FakeClock, NoFileWatcher


async def test_a_lost_directory_is_reported_once() -> None:
    """It checks every two seconds. The callback stops the agent."""
    clock, lost, calls, reported = FakeClock(), False, [], asyncio.Event()

    def on_lost() -> None:
        calls.append("lost")
        reported.set()

    task = asyncio.create_task(DirectoryWatch("sandbox", lambda: not lost, clock, NoFileWatcher(), on_lost).run())
    while not clock.waiting:  # noqa: ASYNC110 - the check is in a thread
        await asyncio.sleep(0)
    assert not calls
    lost = True
    await clock.advance(2)
    await reported.wait()
    await clock.advance(10)
    assert calls == ["lost"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
