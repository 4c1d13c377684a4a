"""Tests of the file watcher, which checks all files in one thread while none hangs."""

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
from tests.rig.files import of_threads
from tests.rig.waiting import PATIENCE_S, eventually

NEVER_S = 3600.0


class CountedCheck:
    """A check that counts its calls."""

    def __init__(self, check: Callable[[], Hashable]) -> None:
        self._check = check
        self.times = 0

    def __call__(self) -> Hashable:
        self.times += 1
        return self._check()


def switches() -> dict[str, int]:
    """How often each thread of this process, except the main one, has waited."""
    return {
        thread: int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        for thread, status in of_threads(os.getpid(), "status")
        if thread != str(os.getpid())
    }


@asynccontextmanager
async def watching(tick_s: float, hangs_s: float = 30) -> AsyncIterator[FileWatcher]:
    watcher = FileWatcher(tick_s=tick_s, hangs_s=hangs_s)
    try:
        yield watcher
    finally:
        watcher.close()


async def wait_for(changed: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await changed.wait()
    changed.clear()


async def test_reports_a_change_and_again_one_tick_later() -> None:
    """The second time is for a file that is written twice within one tick of the file system's clock."""
    value, changed = [0], asyncio.Event()
    async with watching(0.02) as watcher:
        check = CountedCheck(lambda: value[0])
        watcher.watch(check, changed)
        await wait_for(changed)
        await wait_for(changed)
        value[0] = 1
        await wait_for(changed)
        await wait_for(changed)
        before = check.times
        await eventually(lambda: check.times > before + 3)
        assert not changed.is_set(), "nothing changed, but the loop was woken"


async def test_the_loop_sleeps_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks cost the loop nothing, however many files are watched."""
    changed = asyncio.Event()
    async with watching(0.01) as watcher:
        checks = [CountedCheck(lambda: "same") for _ in range(5)]
        for check in checks:
            watcher.watch(check, changed)
        await eventually(lambda: all(check.times > 3 for check in checks))
        called: list[object] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_soon_threadsafe", lambda *args: called.append(args))
        before = checks[0].times
        await eventually(lambda: checks[0].times > before + 10)
        assert not called


async def test_notices_a_local_change_at_once(tmp_path: Path) -> None:
    """An inotify event arrives long before the next tick."""
    changed = asyncio.Event()
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    async with watching(NEVER_S) as watcher:
        check = CountedCheck(lambda: secret_files.signature(tmp_path))
        watcher.watch(check, changed, directories=lambda: secret_files.directories(tmp_path))
        await wait_for(changed)
        unfinished = tmp_path / "unfinished"
        unfinished.write_text('{"hostname": "ghcr.io"}')
        unfinished.replace(secret)
        await wait_for(changed)
        assert check.times < 5


async def test_notices_a_change_without_hints_at_the_next_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system sends no hints, and the machine may allow no further watch."""
    monkeypatch.setattr(file_watcher, "Inotify", lambda: (_ for _ in ()).throw(OSError("too many open files")))
    changed, file = asyncio.Event(), tmp_path / "secret.json"
    async with watching(0.02) as watcher:
        watcher.watch(
            lambda: secret_files.signature(tmp_path), changed, directories=lambda: secret_files.directories(tmp_path)
        )
        await wait_for(changed)
        file.write_text("{}")
        await wait_for(changed)


async def test_a_check_that_hangs_does_not_stop_the_others() -> None:
    """Fresh threads do the other checks, at each tick. The check that hangs is not repeated until it ends."""
    proceed, value, changed, late = threading.Event(), [0], asyncio.Event(), asyncio.Event()
    hanging = [CountedCheck(lambda: proceed.wait(30)) for _ in range(3)]
    async with watching(0.02) as watcher:
        for check in hanging:
            watcher.watch(check, late)
        other = CountedCheck(lambda: value[0])
        watcher.watch(other, changed)
        await eventually(lambda: other.times > 5)
        assert [check.times for check in hanging] == [1, 1, 1]
        changed.clear()
        value[0] = 1
        await wait_for(changed)
        assert not late.is_set()
        proceed.set()
        await wait_for(late)
        await eventually(lambda: all(check.times > 2 for check in hanging))


async def test_one_thread_makes_all_checks_while_none_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a thread at each tick would cost more than the checks."""
    monkeypatch.setattr(file_watcher, "_PATIENCE_S", PATIENCE_S)
    threads: set[int] = set()
    async with watching(0.01) as watcher:
        check = CountedCheck(lambda: threads.add(threading.get_ident()))
        for _ in range(3):
            watcher.watch(check, asyncio.Event())
        await eventually(lambda: check.times > 30)
    assert len(threads) == 1


async def test_a_tick_wakes_one_thread_once() -> None:
    """However many checks there are. Handing each check to another thread would wake an idle agent five times."""
    ticks, enough, before = 100, asyncio.Event(), switches()
    loop = asyncio.get_running_loop()

    def check() -> str:
        if last.times == ticks:
            loop.call_soon_threadsafe(enough.set)
        return "same"

    last = CountedCheck(check)
    async with watching(0.01) as watcher:
        for _ in range(5):
            watcher.watch(lambda: "same", asyncio.Event())
        watcher.watch(last, asyncio.Event())
        async with asyncio.timeout(PATIENCE_S):
            await enough.wait()
        woken = sum(times - before.get(thread, 0) for thread, times in switches().items())
    assert woken < 2 * ticks


async def test_a_check_that_hung_counts_as_a_change() -> None:
    """The component may have given up on the same files meanwhile, and must check them again."""
    answers, changed = threading.Event(), asyncio.Event()
    answers.set()

    def check() -> Hashable:
        answers.wait(30)
        return "same"

    async with watching(0.02, hangs_s=0.1) as watcher:
        counted = CountedCheck(check)
        watcher.watch(counted, changed)
        await eventually(lambda: counted.times > 5)
        changed.clear()
        answers.clear()
        before = counted.times
        await eventually(lambda: counted.times > before)
        await asyncio.to_thread(threading.Event().wait, 0.1)
        answers.set()
        await wait_for(changed)


async def test_a_watch_can_be_ended() -> None:
    """A directory that is no longer in the settings is not checked."""
    async with watching(0.01) as watcher:
        kept, ended = CountedCheck(lambda: 0), CountedCheck(lambda: 0)
        watcher.watch(kept, asyncio.Event())
        end = watcher.watch(ended, asyncio.Event())
        await eventually(lambda: ended.times > 0)
        end()
        before = kept.times
        await eventually(lambda: kept.times > before + 2)
        last = ended.times
        await eventually(lambda: kept.times > before + 5)
        assert ended.times == last


async def test_works_once_a_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a limit on processes is reached, the watcher tries again."""
    monkeypatch.setattr(file_watcher, "_RETRY_S", 0.01)
    changed, refused = asyncio.Event(), []

    def full(thread: threading.Thread) -> None:
        refused.append(thread)
        raise RuntimeError("can't start new thread")  # the error of CPython if clone(2) fails

    async with watching(0.02) as watcher:
        with monkeypatch.context() as limited:
            limited.setattr(threading.Thread, "start", full)
            watcher.watch(lambda: 0, changed)
            await eventually(lambda: len(refused) > 1)
        await wait_for(changed)


async def test_a_failing_check_does_not_stop_the_watcher() -> None:
    """It counts as a change. The caller then checks the file and reports the error."""
    fails, changed, other = [False], asyncio.Event(), CountedCheck(lambda: 0)

    def check() -> Hashable:
        if fails[0]:
            raise RuntimeError("odd")
        return 0

    async with watching(0.02) as watcher:
        watcher.watch(check, changed)
        watcher.watch(other, asyncio.Event())
        await wait_for(changed)
        await wait_for(changed)
        fails[0] = True
        await wait_for(changed)
        before = other.times
        await eventually(lambda: other.times > before + 2)


async def test_checks_a_file_that_keeps_changing_once_a_second(tmp_path: Path) -> None:
    """After a hint, no other hint counts for a second. A wrong password must not be tried ten times in it."""
    changed, stop = asyncio.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(0.001):
            number += 1
            (tmp_path / "a.json").write_text(str(number))

    async with watching(NEVER_S) as watcher:
        check = CountedCheck(lambda: secret_files.signature(tmp_path))
        watcher.watch(check, changed, directories=lambda: secret_files.directories(tmp_path))
        await wait_for(changed)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            await eventually(lambda: check.times >= 3)
            started = asyncio.get_running_loop().time()
            await eventually(lambda: check.times >= 5)
            assert asyncio.get_running_loop().time() - started > 1
        finally:
            stop.set()
            writer.join()


def test_a_half_written_file_gives_no_hint(tmp_path: Path) -> None:
    """The hint comes only when the file is closed. Before that, the file holds half a secret."""
    inotify = Inotify()
    try:
        inotify.watch([tmp_path, tmp_path / "none"])
        with (tmp_path / "a.json").open("w") as file:
            file.write("half")
            file.flush()
            os.fsync(file.fileno())
            assert not inotify.wait(0)
        assert inotify.wait(30)
        assert not inotify.wait(0), "an event is reported only once"
    finally:
        inotify.close()
