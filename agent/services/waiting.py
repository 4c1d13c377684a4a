"""The agent's wait functions: until a deadline, and until a file changes."""

import asyncio
from typing import Final

from agent.model.deadline import Deadline
from agent.services.ports import Clock, FileWatcher

TICK_S: Final = 30.0
"""The longest single wait. If the machine sleeps, asyncio's clock sleeps too, so waits compare the time this often."""
BEAT_S: Final = 10.0
_WATCHED_TICK_S: Final = 5.0
"""How often waiters check that the file watcher is still alive."""


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
