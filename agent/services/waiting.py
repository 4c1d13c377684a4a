"""The agent's wait functions: until a deadline, and until the next beat."""

import asyncio
from typing import Final

from agent.model.deadline import Deadline
from agent.services.ports import Clock

TICK_S: Final = 30.0
"""The longest single wait. If the machine sleeps, asyncio's clock sleeps too, so waits compare the time this often."""
BEAT_S: Final = 10.0


async def wait_until(clock: Clock, deadline: Deadline, wake: asyncio.Event) -> None:
    """Wait for `wake` or the deadline."""
    while not wake.is_set():
        left = deadline.left(clock.now(), clock.monotonic())
        if left <= 0:
            return
        # Compare again at each beat: after a suspend, the deadline may have passed.
        await clock.wait(wake, min(left, until_next_beat(clock, TICK_S)))


def until_next_beat(clock: Clock, seconds: float) -> float:
    """Seconds until the next multiple of `seconds`. Loops that share a beat wake together, which saves power."""
    return seconds - clock.monotonic() % seconds
