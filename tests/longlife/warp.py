"""An event loop whose clock jumps to the next deadline instead of waiting for it. Weeks pass in seconds.

Everything on top of it is real: asyncio's timers, `asyncio.timeout`, and the agent's `Clock.wait`.
"""

import asyncio
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.edge.clock import Clock

EPOCH: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
"""A Monday morning."""


class WarpLoop(asyncio.SelectorEventLoop):
    """Nothing may wait for the outside (no sockets), because the clock would jump while it works.

    Functions for threads run at once. `settled` is called each time when everything else waits for the clock.
    """

    def __init__(self) -> None:
        self._elapsed = 0.0
        self.turns = 0
        self.settled: Callable[[], None] = lambda: None
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._elapsed

    def run_in_executor(self, _executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override] # one that waits for nothing
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - the caller that waits gets it
            done.set_exception(error)
        return done

    def _jump(self, seconds: float | None) -> None:
        assert seconds is not None, "all tasks wait, and none of them for a deadline"
        self.turns += 1
        if seconds > 0:
            self.settled()
            self._elapsed += seconds


class WarpClock(Clock):
    """The agent's clock on a `WarpLoop`. `suspend` stops only the monotonic clock."""

    def __init__(self, loop: WarpLoop) -> None:
        self._loop: Final = loop
        self._asleep = timedelta()
        self.waits = 0

    def now(self) -> datetime:
        return EPOCH + self._asleep + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        return self._loop.time()

    def boot_time(self) -> float:
        return self._loop.time() + self._asleep.total_seconds()

    def suspend(self, length: timedelta) -> None:
        self._asleep += length

    async def wait(self, event: asyncio.Event, timeout: float) -> bool:
        self.waits += 1
        return await super().wait(event, timeout)


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump: Final = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            self._jump(timeout)
        return ready
