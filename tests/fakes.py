"""Fakes that many tests share: a clock that moves only on request, and logs that record what they get."""

import asyncio
import heapq
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from agent.blocking import BlockingCalls
from agent.model.snapshot import Process
from agent.services.ports import Clock

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Time moves only with `advance`. Waiters wake in the order of their deadlines."""

    def __init__(self, now: datetime = EPOCH) -> None:
        self._wall = now
        self._monotonic = 0.0
        self._suspended = 0.0
        self._waiters: list[tuple[float, int, asyncio.Event, asyncio.Event]] = []
        self._order = count()

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def boot_time(self) -> float:
        return self._monotonic + self._suspended

    @property
    def waiting(self) -> int:
        """How many callers are waiting. One whose event is set is about to go on."""
        return sum(not event.is_set() for *_, event in self._waiters)

    async def wait(self, event: asyncio.Event, timeout: float) -> bool:
        if event.is_set():
            return True
        alarm = asyncio.Event()
        entry = (self._monotonic + timeout, next(self._order), alarm, event)
        heapq.heappush(self._waiters, entry)
        tasks = [asyncio.create_task(event.wait()), asyncio.create_task(alarm.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            if entry in self._waiters:
                self._waiters.remove(entry)
                heapq.heapify(self._waiters)
        return event.is_set()

    async def advance(self, seconds: float) -> None:
        """Move both clocks forward, and stop at each deadline on the way to let its waiter run."""
        end = self._monotonic + seconds
        await self.settle()
        while self._waiters and self._waiters[0][0] <= end:
            deadline, _, alarm, _ = heapq.heappop(self._waiters)
            self._move(max(deadline - self._monotonic, 0.0))
            alarm.set()
            await self.settle()
        self._move(end - self._monotonic)
        await self.settle()

    def jump(self, seconds: float) -> None:
        """Move only the wall clock, like a change of the clock."""
        self._wall += timedelta(seconds=seconds)

    def suspend(self, seconds: float) -> None:
        """Suspend the machine: the monotonic clock stops, the others continue."""
        self.jump(seconds)
        self._suspended += seconds

    async def settle(self) -> None:
        """Run everything that does not wait for the clock."""
        for _ in range(50):
            await asyncio.sleep(0)

    def _move(self, seconds: float) -> None:
        self._monotonic += seconds
        self._wall += timedelta(seconds=seconds)


class NoFileWatcher:
    """A watcher that never reports a change."""

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,
    ) -> Callable[[], None]:
        del look, changed, every, directories
        return lambda: None


class ClockedFileWatcher:
    """Works like the real watcher, on the clock of the test."""

    def __init__(self, clock: Clock, tick_s: float = 1.5) -> None:
        self._clock = clock
        self._tick_s = tick_s
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def watches(self) -> int:
        """How many watches there are. Each waits for the clock between two checks."""
        return len(self._tasks)

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,  # noqa: ARG002 - only a real kernel reports changes
    ) -> Callable[[], None]:
        task = asyncio.create_task(self._poll(look, changed, self._tick_s * every))
        self._tasks.add(task)

        def end() -> None:
            task.cancel()
            self._tasks.remove(task)

        return end

    def close(self) -> None:
        """End all watches."""
        for task in self._tasks:
            task.cancel()

    async def _poll(self, look: Callable[[], Hashable], changed: asyncio.Event, seconds: float) -> None:
        seen: Hashable = None
        while True:
            found = look()
            if found != seen:
                changed.set()
            seen = found
            await self._clock.wait(asyncio.Event(), seconds)


class FakeLog:
    """Records events as (level, event, fields)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []

    def debug(self, event: str, **fields: object) -> None:
        self.events.append(("debug", event, fields))

    def info(self, event: str, **fields: object) -> None:
        self.events.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.events.append(("warning", event, fields))

    def error(self, event: str, **fields: object) -> None:
        self.events.append(("error", event, fields))

    def exception(self, event: str, **fields: object) -> None:
        self.events.append(("error", event, fields))

    def names(self) -> list[str]:
        return [event for _, event, _ in self.events]


def process() -> Process:
    return Process(
        version="1.0.0",
        start_id="start",
        started_at=EPOCH,
        invocation_id=None,
        environment_id="env-1",
        user="vscode",
        host="box",
    )


@contextmanager
def calls_in_this_thread() -> Iterator[None]:
    """Make each blocking call at once in the calling thread, so that nothing is left to wait for."""

    def submit(_calls: BlockingCalls, _resource: Hashable, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - the caller of the future gets it
            future.set_exception(error)
        return future

    with patch.object(BlockingCalls, "submit", submit):
        yield


class SameThreadLoop(asyncio.SelectorEventLoop):
    """Makes blocking calls itself. A thread for each of a million calls would take too long."""

    def run_until_complete(self, future: Any) -> Any:
        with calls_in_this_thread():
            return super().run_until_complete(future)
