"""Stops the agent when it can no longer manage Docker's directory: its lock or its sandbox is lost."""

import asyncio
from collections.abc import Callable
from typing import Final

from agent.services.ports import FileWatcher


class DirectoryWatch:
    """Calls `on_lost` once, when `intact` is no longer true.

    `intact` returns whether the agent can go on. It may also repair, for example lock a directory that is new, and may
    block. `on_lost` makes the agent stop. Together with the 2 s before systemd restarts it, a removed login is back
    within 5 s.
    """

    def __init__(
        self, name: str, intact: Callable[[], bool], watcher: FileWatcher, on_lost: Callable[[], None]
    ) -> None:
        self.name: Final = name
        self._intact: Final = intact
        self._watcher: Final = watcher
        self._on_lost: Final = on_lost
        self._is_lost = False

    async def run(self) -> None:
        changed, never = asyncio.Event(), asyncio.Event()
        self._watcher.watch(self._look, changed)
        while not self._is_lost:
            await changed.wait()
            changed.clear()
        self._on_lost()
        # A service never returns; `on_lost` makes the agent stop.
        await never.wait()

    def _look(self) -> bool:
        """Runs in the watcher's thread."""
        self._is_lost = not self._intact()
        return self._is_lost
