"""Notifies systemd that the agent is alive, and what its status is. Stops the pings if the renewals are stuck."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from agent.services.ports import Board, Clock

_IDLE_S: Final = 30.0
_SPACING_S: Final = 1.0
"""Least time between two status lines, because systemd broadcasts each one on D-Bus."""


class Notifier(Protocol):
    @property
    def watchdog_s(self) -> float | None: ...
    def notify(self, **state: str) -> None: ...


class Watchdog:
    """Pings at half of the watchdog interval, and sends the summary line when it changes.

    `alive` is False if the renewals are stuck. Then no ping is sent, and systemd restarts the agent.
    """

    name: Final = "watchdog"

    def __init__(self, notifier: Notifier, clock: Clock, board: Board, alive: Callable[[], bool]) -> None:
        self._notifier: Final = notifier
        self._clock: Final = clock
        self._board: Final = board
        self._alive: Final = alive

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ping())
            tasks.create_task(self._notify_status())

    async def _ping(self) -> None:
        never = asyncio.Event()
        while True:
            # READY is repeated each time: notifications are datagrams, and the first one may have been lost.
            alive = {"WATCHDOG": "1"} if self._alive() else {}
            self._notifier.notify(READY="1", STATUS=self._board.snapshot.summary, **alive)
            await self._clock.wait(never, min((self._notifier.watchdog_s or 2 * _IDLE_S) / 2, _IDLE_S))

    async def _notify_status(self) -> None:
        never = asyncio.Event()
        snapshot = self._board.snapshot
        while True:
            newer = await self._board.changed(snapshot.revision)
            if newer.summary != snapshot.summary:
                self._notifier.notify(STATUS=newer.summary)
            snapshot = newer
            await self._clock.wait(never, _SPACING_S)
