"""Memory that only the collector frees."""

import asyncio
from contextlib import suppress

from agent.services.periodic_gc import PeriodicGc
from tests.fakes import FakeClock


async def test_the_collector_comes_by_every_ten_minutes() -> None:
    """Not more often: all that the agent does at rest is counted in wake-ups."""
    clock, collected = FakeClock(), []
    task = asyncio.create_task(PeriodicGc(clock, lambda: collected.append(clock.monotonic())).run())
    await clock.advance(1800)
    assert collected == [600, 1200, 1800]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
