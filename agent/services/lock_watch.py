"""Keeps Docker's configuration ours alone: its directory may be removed or moved, and the lock with it."""

import asyncio
from collections.abc import Callable
from typing import Final

from agent.services.waiting import Clock, FileWatcher, wait_for_change

_TICK_S: Final = 10.0


class LockWatch:
    """Has the directory locked again where it was made anew.

    Args:
        hold: locks what is there now; False where another agent was sooner. Blocks.
        clock: for its waiting.
        watcher: holds it again and again.
        on_lost: called once, where another agent has it.
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
        await never.wait()
