"""Tells systemd that the agent lives, and how it stands: from the loop, and only if the renewals turn too."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from agent.model.snapshot import Snapshot
from agent.services.waiting import Clock

_IDLE_S: Final = 30.0


class Notifier(Protocol):
    @property
    def watchdog_s(self) -> float | None: ...
    def notify(self, **state: str) -> None: ...


class Watchdog:
    """Pings at half of the watchdog's time, and passes the summary line on when it changes."""

    name: Final = "watchdog"

    def __init__(
        self, notifier: Notifier, clock: Clock, snapshot: Callable[[], Snapshot], turning: Callable[[], bool]
    ) -> None:
        self._notifier: Final = notifier
        self._clock: Final = clock
        self._snapshot: Final = snapshot
        self._turning: Final = turning

    async def run(self) -> None:
        never = asyncio.Event()
        told = ""
        while True:
            summary = self._snapshot().summary
            if summary != told:
                told = summary
                self._notifier.notify(STATUS=summary)
            if self._turning():
                self._notifier.notify(WATCHDOG="1")
            await self._clock.wait(never, min((self._notifier.watchdog_s or 2 * _IDLE_S) / 2, _IDLE_S))
