"""Runs the garbage collector regularly. An idle agent allocates too little for the interpreter to run it itself."""

import asyncio
from collections.abc import Callable
from typing import Final

from agent.services.ports import Clock
from agent.services.waiting import until_next_beat

_INTERVAL_S: Final = 600.0


class PeriodicGc:
    """Calls `collect` every 10 minutes."""

    name: Final = "gc"

    def __init__(self, clock: Clock, collect: Callable[[], None]) -> None:
        self._clock: Final = clock
        self._collect: Final = collect

    async def run(self) -> None:
        never = asyncio.Event()
        while True:
            await self._clock.wait(never, until_next_beat(self._clock, _INTERVAL_S))
            self._collect()
