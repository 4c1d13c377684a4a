"""Work at regular intervals."""

import asyncio
from contextlib import suppress

from agent.services.periodic import Periodic
from tests.fakes import FakeClock


async def test_it_works_at_each_multiple_of_the_interval() -> None:
    """Whenever it starts, so that services with the same interval wake an idle agent together."""
    clock, worked_at = FakeClock(), []
    await clock.advance(130)
    task = asyncio.create_task(Periodic("gc", 600, lambda: worked_at.append(clock.monotonic()), clock).run())
    await clock.advance(1700)
    assert worked_at == [600, 1200, 1800]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
