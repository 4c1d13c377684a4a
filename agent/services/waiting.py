"""The one wait-until of the agent."""

import asyncio
from datetime import datetime
from typing import Final, Protocol

from agent.model.deadline import Deadline

TICK_S: Final = 30.0
"""A machine may sleep in the middle of a wait, and asyncio's clock with it: never wait longer without a look."""


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def wait(self, event: asyncio.Event, timeout: float) -> bool: ...


async def wait_until(clock: Clock, deadline: Deadline, wake: asyncio.Event) -> bool:
    """True if `wake` was set before the deadline was reached, False when it was reached."""
    while not wake.is_set():
        left = deadline.left(clock.now(), clock.monotonic())
        if left <= 0:
            return False
        await clock.wait(wake, min(left, TICK_S))
    return True
