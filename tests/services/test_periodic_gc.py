"""Regular runs of the garbage collector."""

import asyncio
from contextlib import suppress

from agent.services.periodic_gc import PeriodicGc
from tests.fakes import FakeClock


async def test_the_collector_runs_every_ten_minutes() -> None:
    """Not more often, because each run wakes an idle agent."""
    clock, collected = FakeClock(), []
    task = asyncio.create_task(PeriodicGc(clock, lambda: collected.append(clock.monotonic())).run())
    await clock.advance(1800)
    assert collected == [600, 1200, 1800]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
