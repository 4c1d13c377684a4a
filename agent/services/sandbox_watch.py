"""Stops the agent when it can no longer write to Docker's directory, so systemd restarts it in a new sandbox."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from agent.services.ports import Clock, FileWatcher, Log
from agent.services.waiting import wait_for_change

_INTERVAL_S: Final = 2.0
"""Together with the 2 s before systemd restarts the agent, a removed login is back within 5 s."""


class Sandbox(Protocol):
    @property
    def directory(self) -> Path: ...
    def is_lost(self) -> bool:
        """Whether the directory was replaced, so the sandbox no longer allows writing to it. Blocks."""
        ...


class SandboxWatch:
    """Calls `on_lost` once, when the sandbox is lost."""

    name: Final = "sandbox"

    def __init__(
        self, sandbox: Sandbox, clock: Clock, watcher: FileWatcher, log: Log, on_lost: Callable[[], None]
    ) -> None:
        self._sandbox: Final = sandbox
        self._clock: Final = clock
        self._watcher: Final = watcher
        self._log: Final = log
        self._on_lost: Final = on_lost

    async def run(self) -> None:
        changed, never = asyncio.Event(), asyncio.Event()
        self._watcher.watch(self._sandbox.is_lost, changed)
        while not await asyncio.to_thread(self._sandbox.is_lost):
            await wait_for_change(self._clock, self._watcher, changed, _INTERVAL_S)
        self._log.info("sandbox.lost", directory=str(self._sandbox.directory))
        self._on_lost()
        # A service never returns; `on_lost` makes the agent stop.
        await never.wait()
