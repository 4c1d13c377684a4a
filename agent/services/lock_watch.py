"""Keeps the lock on Docker's configuration, even if its directory is removed or moved together with the lock."""

import asyncio
from collections.abc import Callable
from typing import Final

from agent.services.ports import Clock, FileWatcher
from agent.services.waiting import wait_for_change

_TICK_S: Final = 10.0


class LockWatch:
    """Locks the directory again after it was created anew.

    Args:
        hold: locks the current directory. Returns False if another agent has locked it. Blocks.
        clock: used for all waits.
        watcher: calls `hold` regularly.
        on_lost: called once, if another agent has the lock.
    """

    name: Final = "lock"

    def __init__(
        self, hold: Callable[[], bool], clock: Clock, watcher: FileWatcher, on_lost: Callable[[], None]
    ) -> None:
        self._hold: Final = hold
        self._clock: Final = clock
        self._watcher: Final = watcher
        self._on_lost: Final = on_lost

    async def run(self) -> None:
        changed, never = asyncio.Event(), asyncio.Event()
        self._watcher.watch(self._hold, changed)
        while await asyncio.to_thread(self._hold):
            await wait_for_change(self._clock, self._watcher, changed, _TICK_S)
        self._on_lost()
        # A service never returns; `on_lost` makes the agent stop.
        await never.wait()
