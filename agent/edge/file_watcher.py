"""Polls files for changes, in one thread for all of them. An idle agent wakes about once a second."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.blocking import start_thread
from agent.edge.inotify import Inotify

_TICK_S: Final = 1.5
"""A changed secret must be used within two seconds."""
_PATIENCE_S: Final = 0.3
"""How long the other checks wait for one. A later result still counts."""
_HANGS_S: Final = 4.0
_RETRY_S: Final = 5.0
_SPACING_S: Final = 1.0
"""The minimum time between two checks caused by hints. A program that keeps writing must not keep the agent busy."""


@dataclass(slots=True, eq=False)
class _Watch:
    signature: Callable[[], Hashable]
    changed: Callable[[], None]
    every: int
    directories: Callable[[], Iterable[Path]] | None
    last: Hashable = None
    again: bool = False
    busy: bool = False


class FileWatcher:
    """Watches files. One thread decides when to check, another one checks.

    If a check hangs, a fresh thread does the other checks, and the one that hangs is left out until it ends.
    """

    def __init__(self, *, tick_s: float = _TICK_S, hangs_s: float = _HANGS_S) -> None:
        """A check that takes `hangs_s` counts as a change: the caller may have given up on the same files."""
        self._tick_s: Final = tick_s
        self._hangs_s: Final = hangs_s
        self._watches: Final[list[_Watch]] = []
        self._checker: _Checker | None = None
        self._started = False
        self._ended: Final = threading.Event()

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,
    ) -> Callable[[], None]:
        """Set `changed` when `look` returns another value than before, and once more one tick later.

        The second time is for a file that is written twice within one tick of the file system's clock: its timestamps
        are the same after both writes.

        Args:
            look: returns a value that differs after a change. It may block, and runs in a thread.
            changed: an event of the running loop.
            every: check only in every n-th tick of 1.5 s.
            directories: returns directories whose inotify events cause a check at once.

        Returns:
            A function that ends the watch.
        """
        loop = asyncio.get_running_loop()
        watch = _Watch(look, lambda: _set(loop, changed), every, directories)
        self._watches.append(watch)
        self._start(loop)
        return lambda: self._watches.remove(watch)

    def close(self) -> None:
        """Make the threads end at the next tick."""
        self._ended.set()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._started:
            return
        try:
            start_thread(self._run, "watcher")
            self._started = True
        except RuntimeError:  # a limit on processes
            loop.call_later(_RETRY_S, self._start, loop)

    def _run(self) -> None:
        hints, hinted, tick, ignore_until = _hints(), False, 0, 0.0
        next_tick = time.monotonic()
        while not self._ended.is_set():
            now = time.monotonic()
            watches = [watch for watch in tuple(self._watches) if not watch.busy]
            due = (each for each in watches if (each.directories if hinted else each.again or tick % each.every == 0))
            self._check_all(deque(due), hints)
            if hinted:
                ignore_until = now + _SPACING_S
            else:
                tick, next_tick = tick + 1, now + self._tick_s
            hinted = _wait(hints, next_tick, ignore_until)
        if self._checker is not None:
            self._checker.end()
        if hints is not None:
            hints.close()

    def _check_all(self, due: deque[_Watch], hints: Inotify | None) -> None:
        """Check one after the other in one thread. For each check that hangs, a fresh thread does the rest."""
        while due:
            try:
                self._checker = self._checker or _Checker(lambda watch: self._check(watch, hints))
            except RuntimeError:  # a limit on processes: the next tick tries again
                return
            if not self._checker.work_off(due):
                self._checker.end()
                self._checker = None

    def _check(self, watch: _Watch, hints: Inotify | None) -> None:
        watch.busy, started = True, time.monotonic()
        try:
            found = watch.signature()
            # A new subdirectory needs a watch of its own.
            if found != watch.last and hints is not None and watch.directories is not None:
                hints.watch(watch.directories())
        except Exception as fault:  # noqa: BLE001 - counts as a change: the caller then checks and reports the error
            found = repr(type(fault))
        differs, watch.last = found != watch.last or time.monotonic() - started >= self._hangs_s, found
        if differs or watch.again:
            watch.changed()
        watch.again, watch.busy = differs, False


class _Checker:
    """A thread for one round of checks after the other. It lasts, because an idle agent checks every 1.5 s.

    Raises:
        RuntimeError: no thread can be started.
    """

    def __init__(self, check: Callable[[_Watch], None]) -> None:
        self._check: Final = check
        self._due: deque[_Watch] | None = None
        # Locks as signals between two threads: they cost least.
        self._begin, self._done = threading.Lock(), threading.Lock()
        self._begin.acquire()
        self._done.acquire()
        start_thread(self._run, "file-checks")

    def work_off(self, due: deque[_Watch]) -> bool:
        """Make all checks. Returns False if they take too long. They then continue until `end`."""
        self._due = due
        self._begin.release()
        return self._done.acquire(timeout=_PATIENCE_S)

    def end(self) -> None:
        """Make the thread end, after the check that hangs."""
        self._due = None
        with suppress(RuntimeError):  # the thread has not even begun, and will see that there is nothing to do
            self._begin.release()

    def _run(self) -> None:
        while True:
            self._begin.acquire()
            while due := self._due:  # `end` sets it to None, so another thread does the rest
                with suppress(IndexError):  # that thread took the last one
                    self._check(due.popleft())
            if self._due is None:
                return
            self._done.release()


def _set(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(changed.set)


def _hints() -> Inotify | None:
    try:
        return Inotify()
    except (OSError, AttributeError):  # the limit is reached, or the C library has no inotify
        return None


def _wait(hints: Inotify | None, until: float, ignore_until: float) -> bool:
    """Wait until the next tick (return False) or until a hint (return True). Ignore hints before `ignore_until`."""
    sleep_s = (until if hints is None else min(ignore_until, until)) - time.monotonic()
    if sleep_s > 0:
        time.sleep(sleep_s)
    left_s = until - time.monotonic()
    return hints is not None and left_s > 0 and hints.wait(left_s)
