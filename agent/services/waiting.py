"""The agent's wait functions: until a deadline, and until a file changes."""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from agent.model.deadline import Deadline

TICK_S: Final = 30.0
"""The longest single wait. If the machine sleeps, asyncio's clock sleeps too, so waits compare the time this often."""
BEAT_S: Final = 10.0
_WATCHED_TICK_S: Final = 5.0
"""How often waiters check that the file watcher is still alive."""


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def wait(self, event: asyncio.Event, timeout: float) -> bool: ...


async def wait_until(clock: Clock, deadline: Deadline, wake: asyncio.Event) -> bool:
    """Wait for `wake` or the deadline. True if `wake` was set first, False if the deadline was reached."""
    while not wake.is_set():
        left = deadline.left(clock.now(), clock.monotonic())
        if left <= 0:
            return False
        # Compare again at each beat: after a suspend, the deadline may have passed.
        await clock.wait(wake, min(left, until_next_beat(clock, TICK_S)))
    return True


def until_next_beat(clock: Clock, seconds: float) -> float:
    """Seconds until the next multiple of `seconds`. Loops that share a beat wake together, which saves power."""
    return seconds - clock.monotonic() % seconds


class FileWatcher(Protocol):
    """Checks files on behalf of all components."""

    @property
    def alive(self) -> bool:
        """Whether the watcher works. If not, each component polls its own files."""
        ...

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,
    ) -> None:
        """Set `changed` when `look` returns a different value than before. `look` may block."""
        ...


async def wait_for_change(clock: Clock, watcher: FileWatcher, changed: asyncio.Event, tick_s: float) -> None:
    """Wait until `changed` is set, and clear it. If the watcher is not alive, wait for one tick instead.

    When the watcher recovers, wait for one tick too: a change during its failure may have gone unnoticed.
    """
    while True:
        was_alive = watcher.alive
        if await clock.wait(changed, until_next_beat(clock, _WATCHED_TICK_S) if was_alive else tick_s):
            break
        if not (was_alive and watcher.alive):
            return
    changed.clear()
