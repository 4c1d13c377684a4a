"""Stops the agent when it can no longer manage Docker's directory: its lock or its sandbox is lost."""

import asyncio
from collections.abc import Callable
from typing import Final

from agent.services.ports import Clock, FileWatcher
from agent.services.waiting import wait_for_change

_TICK_S: Final = 2.0
"""Together with the 2 s before systemd restarts the agent, a removed login is back within 5 s."""


class DirectoryWatch:
    """Calls `on_lost` once, when `intact` is no longer true.

    Args:
        name: the name of the service.
        intact: whether the agent can go on. It may also repair, for example lock a directory that is new. Blocks.
        clock: used for all waits.
        watcher: calls `intact` regularly.
        on_lost: makes the agent stop.
    """

    def __init__(
        self, name: str, intact: Callable[[], bool], clock: Clock, watcher: FileWatcher, on_lost: Callable[[], None]
    ) -> None:
        self.name: Final = name
        self._intact: Final = intact
        self._clock: Final = clock
        self._watcher: Final = watcher
        self._on_lost: Final = on_lost

    async def run(self) -> None:
        changed, never = asyncio.Event(), asyncio.Event()
        self._watcher.watch(self._intact, changed)
        while await asyncio.to_thread(self._intact):
            await wait_for_change(self._clock, self._watcher, changed, _TICK_S)
        self._on_lost()
        # A service never returns; `on_lost` makes the agent stop.
        await never.wait()
