"""Polls files for changes, in one thread for all of them. An idle agent wakes about once a second."""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.blocking import start_thread
from agent.edge.inotify import Inotify
from agent.edge.timer import Timer

_TICK_S: Final = 1.5
"""A changed secret must be used within two seconds."""
_PATIENCE_S: Final = 0.3
"""How long the other checks wait for one."""
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
    hints: Inotify | None = None
    checking: threading.Lock = field(default_factory=threading.Lock)


class FileWatcher:
    """Watches files. One thread makes all checks, so an idle agent wakes once for all of them.

    If a check hangs, a timer wakes the event loop, which has another thread make the other checks from then on. The
    check that hangs is left out until it ends.
    """

    def __init__(self, *, tick_s: float = _TICK_S, hangs_s: float = _HANGS_S) -> None:
        """A check that takes `hangs_s` counts as a change: the caller may have given up on the same files."""
        self._tick_s: Final = tick_s
        self._hangs_s: Final = hangs_s
        self._watches: Final[list[_Watch]] = []
        self._checker: _Checker | None = None
        self._started = self._ended = False

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
        are the same after both writes. `look` may block, and runs in a thread, in every `every`-th tick of 1.5 s. An
        inotify event in one of the `directories` causes a check at once. Returns a function that ends the watch.
        """
        loop = asyncio.get_running_loop()
        watch = _Watch(look, lambda: _set(loop, changed), every, directories)
        self._watches.append(watch)
        if not self._started:
            self._started = True
            self._start_checker(loop)
        return lambda: self._watches.remove(watch)

    def close(self) -> None:
        """Make the thread end at the next tick."""
        self._ended = True
        if self._checker is not None:
            self._checker.retire()

    def _start_checker(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have a new thread make the checks, instead of the one that hangs."""
        if self._ended:
            return
        try:
            checker = _Checker(loop, self._watches, self._tick_s, self._hangs_s)
            checker.start(on_hang=lambda: self._start_checker(loop))
        except (OSError, RuntimeError):  # no descriptor, no thread. One that hangs may still continue.
            loop.call_later(_RETRY_S, self._start_checker, loop)
            return
        if self._checker is not None:
            self._checker.retire()
        self._checker = checker


class _Checker:
    """A thread that makes all checks, until it is retired. Raises OSError if no descriptor is left for the timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watches: list[_Watch], tick_s: float, hangs_s: float) -> None:
        self._loop: Final = loop
        self._watches: Final = watches
        self._tick_s: Final = tick_s
        self._hangs_s: Final = hangs_s
        self._timer: Final = Timer()
        self._retired: Final = threading.Event()
        self._armed_until = 0.0

    def start(self, on_hang: Callable[[], object]) -> None:
        """Start the thread. `on_hang` is called in the loop, at most once, when a check takes too long.

        Raises RuntimeError if no thread can be started.
        """

        def fired() -> None:
            self._loop.remove_reader(self._timer.descriptor)
            on_hang()

        try:
            start_thread(self._run, "watcher")
        except RuntimeError:
            self._timer.close()
            raise
        self._loop.add_reader(self._timer.descriptor, fired)

    def retire(self) -> None:
        """Make the thread end, after the check that hangs. Called in the loop."""
        self._loop.remove_reader(self._timer.descriptor)
        self._retired.set()

    def _run(self) -> None:
        hints, hinted, tick, ignore_until = _hints(), False, 0, 0.0
        next_tick = time.monotonic()
        while not self._retired.is_set():
            now = time.monotonic()
            for watch in tuple(self._watches):
                if watch.directories if hinted else watch.again or tick % watch.every == 0:
                    self._check(watch, hints)
            self._arm(0)
            if hinted:
                ignore_until = now + _SPACING_S
            else:
                tick, next_tick = tick + 1, now + self._tick_s
            hinted = not self._retired.is_set() and _wait(hints, next_tick, ignore_until)
        if hints is not None:
            hints.close()
        self._timer.close()

    def _check(self, watch: _Watch, hints: Inotify | None) -> None:
        # A check that hangs is still made by a thread that was retired.
        if self._retired.is_set() or not watch.checking.acquire(blocking=False):
            return
        started = time.monotonic()
        # Most checks take less time than setting the timer. So it is set again only once part of its time is over.
        if started > self._armed_until - _PATIENCE_S / 2:
            self._arm(_PATIENCE_S)
        try:
            found = watch.signature()
            # A new subdirectory needs a watch of its own.
            if hints is not None and watch.directories and (found != watch.last or watch.hints is not hints):
                hints.watch(watch.directories())
                watch.hints = hints
        except Exception as fault:  # noqa: BLE001 - counts as a change: the caller then checks and reports the error
            found = repr(type(fault))
        differs, watch.last = found != watch.last or time.monotonic() - started >= self._hangs_s, found
        if differs or watch.again:
            watch.changed()
        watch.again = differs
        watch.checking.release()

    def _arm(self, seconds: float) -> None:
        self._timer.set(seconds)
        self._armed_until = time.monotonic() + seconds


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
