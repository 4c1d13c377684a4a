"""Ends the agent when it can no longer write where it must, so that systemd starts it in a new sandbox."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from agent.services.waiting import Clock, FileWatcher, wait_for_change

_INTERVAL_S: Final = 2.0
"""With the restart's pause of 2 s, a login that was dropped is back within 5 s."""


class Sandbox(Protocol):
    @property
    def directory(self) -> Path: ...
    def is_lost(self) -> bool:
        """Blocks."""
        ...


class Log(Protocol):
    def info(self, event: str, **fields: object) -> None: ...


class SandboxWatch:
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
        await never.wait()
