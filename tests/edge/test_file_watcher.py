"""One thread looks at everything that changes without a word."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.edge import file_watcher, secret_files
from agent.edge.file_watcher import FileWatcher
from agent.edge.inotify import Inotify
from tests.rig.waiting import PATIENCE_S

NEVER_S = 3600.0


class Looked:
    """What is looked at, and how often it was."""

    def __init__(self, look: Callable[[], Hashable]) -> None:
        self._look = look
        self.times = 0

    def __call__(self) -> Hashable:
        self.times += 1
        return self._look()


@asynccontextmanager
async def looking(tick_s: float, hangs_s: float = 30) -> AsyncIterator[FileWatcher]:
    watcher = FileWatcher(tick_s=tick_s, hangs_s=hangs_s)
    try:
        yield watcher
    finally:
        watcher.close()


async def heard(changed: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await changed.wait()
    changed.clear()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - another thread makes it so
            await asyncio.sleep(0.005)


async def test_a_change_is_told_and_once_more_a_tick_later() -> None:
    """The second time is for a file that is written twice within one tick of its file system's clock."""
    value, changed = [0], asyncio.Event()
    async with looking(0.02) as watcher:
        look = Looked(lambda: value[0])
        watcher.watch(look, changed)
        await heard(changed)
        await heard(changed)
        value[0] = 1
        await heard(changed)
        await heard(changed)
        seen = look.times
        await until(lambda: look.times > seen + 3)
        assert not changed.is_set(), "nothing changed, and the loop was woken"


async def test_the_loop_sleeps_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are watched: looks cost the loop nothing."""
    changed = asyncio.Event()
    async with looking(0.01) as watcher:
        looks = [Looked(lambda: "same") for _ in range(5)]
        for look in looks:
            watcher.watch(look, changed)
        await until(lambda: all(look.times > 3 for look in looks))
        called: list[object] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_soon_threadsafe", lambda *args: called.append(args))
        seen = looks[0].times
        await until(lambda: looks[0].times > seen + 10)
        assert not called


async def test_a_local_file_is_seen_at_once(tmp_path: Path) -> None:
    """By the kernel's word, long before the next tick; in a directory that came later too."""
    changed = asyncio.Event()
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    async with looking(NEVER_S) as watcher:
        look = Looked(lambda: secret_files.signature(tmp_path))
        watcher.watch(look, changed, directories=lambda: secret_files.directories(tmp_path))
        await heard(changed)
        unfinished = tmp_path / "unfinished"
        unfinished.write_text('{"hostname": "ghcr.io"}')
        unfinished.replace(secret)
        await heard(changed)
        assert look.times < 5


async def test_what_sends_no_hints_is_seen_at_the_next_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network file system, or where the machine grants no watch."""
    monkeypatch.setattr(file_watcher, "Inotify", lambda: (_ for _ in ()).throw(OSError("too many open files")))
    changed, file = asyncio.Event(), tmp_path / "secret.json"
    async with looking(0.02) as watcher:
        watcher.watch(
            lambda: secret_files.signature(tmp_path), changed, directories=lambda: secret_files.directories(tmp_path)
        )
        await heard(changed)
        file.write_text("{}")
        await heard(changed)


async def test_a_look_that_hangs_is_told() -> None:
    """Whoever waits for changes then looks for themselves; when it answers, all is as before."""
    go_on, changed = threading.Event(), asyncio.Event()
    async with looking(0.02, hangs_s=0.2) as watcher:
        assert not watcher.alive
        watcher.watch(lambda: go_on.wait(30), changed)
        await until(lambda: not watcher.alive)
        go_on.set()
        await until(lambda: watcher.alive)
        await heard(changed)


async def test_a_look_that_fails_ends_nothing() -> None:
    """It counts as a change: whoever reacts looks themselves, and tells of it."""
    fails, changed, other = [False], asyncio.Event(), Looked(lambda: 0)

    def look() -> Hashable:
        if fails[0]:
            raise RuntimeError("odd")
        return 0

    async with looking(0.02) as watcher:
        watcher.watch(look, changed)
        watcher.watch(other, asyncio.Event())
        await heard(changed)
        await heard(changed)
        fails[0] = True
        await heard(changed)
        seen = other.times
        await until(lambda: other.times > seen + 2)


async def test_whoever_writes_without_end_is_looked_at_once_a_second(tmp_path: Path) -> None:
    """A hint brings a look at once, and then none for a second: a wrong password must not be tried ten times in it."""
    changed, stop = asyncio.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(0.001):
            number += 1
            (tmp_path / "a.json").write_text(str(number))

    async with looking(NEVER_S) as watcher:
        look = Looked(lambda: secret_files.signature(tmp_path))
        watcher.watch(look, changed, directories=lambda: secret_files.directories(tmp_path))
        await heard(changed)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            await until(lambda: look.times >= 3)
            begun = asyncio.get_running_loop().time()
            await until(lambda: look.times >= 5)
            assert asyncio.get_running_loop().time() - begun > 1
        finally:
            stop.set()
            writer.join()


def test_a_half_written_file_gives_no_hint(tmp_path: Path) -> None:
    """Only once it is closed: who looked before would find half a secret."""
    inotify = Inotify()
    try:
        inotify.watch([tmp_path, tmp_path / "none"])
        with (tmp_path / "a.json").open("w") as file:
            file.write("half")
            file.flush()
            os.fsync(file.fileno())
            assert not inotify.wait(0)
        assert inotify.wait(30)
        assert not inotify.wait(0), "what was told is told once"
    finally:
        inotify.close()
