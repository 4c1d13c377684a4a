"""Notifies systemd that the agent is alive, and what its status is. Stops the pings if the renewals are stuck."""

import asyncio
from collections.abc import Callable
from typing import Final

from agent.services.periodic import Periodic
from agent.services.ports import Board, Clock

_IDLE_S: Final = 30.0
_SPACING_S: Final = 1.0
"""Least time between two status lines, because systemd broadcasts each one on D-Bus."""


class Watchdog:
    """Pings at half of the watchdog interval, and sends the summary line when it changes.

    `watchdog_s` is the watchdog interval; None if systemd expects no pings. `alive` is False if the renewals are stuck.
    Then no ping is sent, and systemd restarts the agent.
    """

    name: Final = "watchdog"

    def __init__(
        self,
        notify: Callable[..., None],
        watchdog_s: float | None,
        clock: Clock,
        board: Board,
        alive: Callable[[], bool],
    ) -> None:
        self._notify: Final = notify
        self._interval_s: Final = min((watchdog_s or 2 * _IDLE_S) / 2, _IDLE_S)
        self._clock: Final = clock
        self._board: Final = board
        self._alive: Final = alive

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._ping()
            tasks.create_task(Periodic("watchdog.ping", self._interval_s, self._ping, self._clock).run())
            tasks.create_task(self._notify_status())

    def _ping(self) -> None:
        # READY is repeated each time: notifications are datagrams, and the first one may have been lost.
        alive = {"WATCHDOG": "1"} if self._alive() else {}
        self._notify(READY="1", STATUS=self._board.snapshot.summary, **alive)

    async def _notify_status(self) -> None:
        never = asyncio.Event()
        snapshot = self._board.snapshot
        while True:
            newer = await self._board.changed(snapshot.revision)
            if newer.summary != snapshot.summary:
                self._notify(STATUS=newer.summary)
            snapshot = newer
            await self._clock.wait(never, _SPACING_S)
