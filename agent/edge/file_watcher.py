"""Looks again and again at what changes without a word, in one thread for all: an idle agent wakes once a second."""

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
"""A changed secret is to be used within two seconds."""
_HANGS_S: Final = 4.0
_SPACING_S: Final = 1.0
"""Between two looks that a hint brings: whoever writes without end does not keep the agent at it."""


@dataclass(slots=True)
class _Watch:
    signature: Callable[[], Hashable]
    changed: Callable[[], None]
    every: int
    directories: Callable[[], Iterable[Path]] | None
    seen: Hashable = None
    again: bool = False


class FileWatcher:
    """One thread; where a file system hangs it hangs too, and `turning` says so until it answers."""

    def __init__(self, *, tick_s: float = _TICK_S, hangs_s: float = _HANGS_S) -> None:
        self._tick_s: Final = tick_s
        self._hangs_s: Final = hangs_s
        self._posts: Final[list[_Watch]] = []
        self._turned_at: float | None = None
        self._thread: threading.Thread | None = None
        self._ended: Final = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether everything is being looked at; otherwise everyone must look for themselves."""
        return self._turned_at is not None and time.monotonic() - self._turned_at < self._hangs_s

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,
    ) -> None:
        """Set `changed` when `look` gives something else than before, and once more a tick later.

        A file that is written twice within one tick of its file system's clock looks the same after both.

        Args:
            look: blocks; is called in the watcher's thread.
            changed: of the running loop.
            every: in how many ticks of 1.5 s it is looked at once.
            directories: what a local file system may send hints of, so that the look comes at once.
        """
        loop = asyncio.get_running_loop()
        self._posts.append(_Watch(look, lambda: _set(loop, changed), every, directories))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no room for a thread: everyone looks for themselves
                self._ended.set()

    def close(self) -> None:
        """The thread ends with its next tick."""
        self._ended.set()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})  # it is for the loop's thread (cli/run.py)
        hints, hinted, tick, deaf_until = _hints(), False, 0, 0.0
        next_tick = time.monotonic()
        while not self._ended.is_set():
            now = self._turned_at = time.monotonic()
            for post in tuple(self._posts):
                if post.directories if hinted else (tick % post.every == 0 or post.again):
                    self._check(post, hints)
            if hinted:
                deaf_until = now + _SPACING_S
            else:
                tick, next_tick = tick + 1, now + self._tick_s
            hinted = _hinted(hints, next_tick, deaf_until)
        if hints is not None:
            hints.close()
        self._turned_at = None

    def _check(self, post: _Watch, hints: Inotify | None) -> None:
        try:
            found = post.signature()
            if found != post.seen and hints is not None and post.directories is not None:
                hints.watch(post.directories())
        except Exception as fault:  # noqa: BLE001 - who reacts looks themselves, and tells of it
            found = repr(type(fault))
        differs, post.seen = found != post.seen, found
        if differs or post.again:
            post.changed()
        post.again = differs


def _set(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(changed.set)


def _hints() -> Inotify | None:
    try:
        return Inotify()
    except (OSError, AttributeError):  # none is granted; a C library without it
        return None


def _hinted(hints: Inotify | None, until: float, deaf_until: float) -> bool:
    """Rest until the next tick (False), or until a hint that may be heeded (True)."""
    deaf_s = (until if hints is None else min(deaf_until, until)) - time.monotonic()
    if deaf_s > 0:
        time.sleep(deaf_s)
    left_s = until - time.monotonic()
    return hints is not None and left_s > 0 and hints.wait(left_s)
