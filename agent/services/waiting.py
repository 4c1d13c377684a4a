"""The one wait-until of the agent."""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from agent.model.deadline import Deadline

TICK_S: Final = 30.0
"""A machine may sleep in the middle of a wait, and asyncio's clock with it: never wait longer without a look."""
BEAT_S: Final = 10.0
_WATCHED_TICK_S: Final = 5.0
"""How soon it is noticed that the watcher hangs."""


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def wait(self, event: asyncio.Event, timeout: float) -> bool: ...


async def wait_until(clock: Clock, deadline: Deadline, wake: asyncio.Event) -> bool:
    """True if `wake` was set before the deadline was reached, False when it was reached."""
    while not wake.is_set():
        left = deadline.left(clock.now(), clock.monotonic())
        if left <= 0:
            return False
        await clock.wait(wake, min(left, until_next_beat(clock, TICK_S)))
    return True


def until_next_beat(clock: Clock, seconds: float) -> float:
    """Seconds until the next multiple of so many: who has time waits for the others, and the processor wakes once."""
    return seconds - clock.monotonic() % seconds


class FileWatcher(Protocol):
    """Who looks at files for everybody."""

    @property
    def alive(self) -> bool:
        """Whether it does; where it does not, everyone looks for themselves."""
        ...

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,
    ) -> None:
        """Set `changed` when `look`, which blocks, gives something else than before."""
        ...


async def wait_for_change(clock: Clock, watcher: FileWatcher, changed: asyncio.Event, tick_s: float) -> None:
    """Until `changed` is set, which it then no longer is; for one tick where the watcher does not turn.

    One tick more when it turns again: what was amiss while it did not may have left with the fault.
    """
    while True:
        turned = watcher.alive
        if await clock.wait(changed, until_next_beat(clock, _WATCHED_TICK_S) if turned else tick_s):
            break
        if not (turned and watcher.alive):
            return
    changed.clear()
