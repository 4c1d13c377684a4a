"""The one loop for work that runs at regular intervals."""

import asyncio
from collections.abc import Callable
from typing import Final

from agent.services.ports import Clock
from agent.services.waiting import until_next_beat


class Periodic:
    """A service that calls `work` at each multiple of `seconds`, so that services with the same interval wake together.

    The first call is at the next multiple, not at once.
    """

    def __init__(self, name: str, seconds: float, work: Callable[[], None], clock: Clock) -> None:
        self.name: Final = name
        self._seconds: Final = seconds
        self._work: Final = work
        self._clock: Final = clock

    async def run(self) -> None:
        never = asyncio.Event()
        while True:
            await self._clock.wait(never, until_next_beat(self._clock, self._seconds))
            self._work()
