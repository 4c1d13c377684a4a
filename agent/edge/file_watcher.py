"""Polls files for changes, in one thread for all of them. An idle agent wakes about once a second."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.edge.inotify import Inotify

_TICK_S: Final = 1.5
"""A changed secret must be used within two seconds."""
_HANGS_S: Final = 4.0
_SPACING_S: Final = 1.0
"""The minimum time between two checks caused by hints. A program that keeps writing must not keep the agent busy."""


@dataclass(slots=True)
class _Watch:
    signature: Callable[[], Hashable]
    changed: Callable[[], None]
    every: int
    directories: Callable[[], Iterable[Path]] | None
    last: Hashable = None
    again: bool = False


class FileWatcher:
    """Watches files in one thread. If a file system hangs, the thread hangs, and `alive` is False until it answers."""

    def __init__(self, *, tick_s: float = _TICK_S, hangs_s: float = _HANGS_S) -> None:
        self._tick_s: Final = tick_s
        self._hangs_s: Final = hangs_s
        self._watches: Final[list[_Watch]] = []
        self._last_tick_at: float | None = None
        self._thread: threading.Thread | None = None
        self._ended: Final = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether the thread is checking files. If not, every caller must check its own files."""
        return self._last_tick_at is not None and time.monotonic() - self._last_tick_at < self._hangs_s

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,
    ) -> None:
        """Set `changed` when `look` returns another value than before, and once more one tick later.

        The second time is for a file that is written twice within one tick of the file system's clock: its timestamps
        are the same after both writes.

        Args:
            look: returns a value that differs after a change. It may block, and runs in the watcher's thread.
            changed: an event of the running loop.
            every: check only in every n-th tick of 1.5 s.
            directories: returns directories whose inotify events cause a check at once.
        """
        loop = asyncio.get_running_loop()
        self._watches.append(_Watch(look, lambda: _set(loop, changed), every, directories))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no thread can be started: every caller checks its own files
                self._ended.set()

    def close(self) -> None:
        """Make the thread end at its next tick."""
        self._ended.set()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})  # it is meant for the loop's thread (cli/run.py)
        hints, hinted, tick, ignore_until = _hints(), False, 0, 0.0
        next_tick = time.monotonic()
        while not self._ended.is_set():
            now = self._last_tick_at = time.monotonic()
            for watch in tuple(self._watches):
                if watch.directories if hinted else (tick % watch.every == 0 or watch.again):
                    self._check(watch, hints)
            if hinted:
                ignore_until = now + _SPACING_S
            else:
                tick, next_tick = tick + 1, now + self._tick_s
            hinted = _wait(hints, next_tick, ignore_until)
        if hints is not None:
            hints.close()
        self._last_tick_at = None

    def _check(self, watch: _Watch, hints: Inotify | None) -> None:
        try:
            found = watch.signature()
            # A new subdirectory needs a watch of its own.
            if found != watch.last and hints is not None and watch.directories is not None:
                hints.watch(watch.directories())
        except Exception as fault:  # noqa: BLE001 - counts as a change: the caller then checks and reports the error
            found = repr(type(fault))
        differs, watch.last = found != watch.last, found
        if differs or watch.again:
            watch.changed()
        watch.again = differs


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
