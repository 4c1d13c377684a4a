"""Tests of the worker threads for blocking calls."""

import threading
import time

import pytest

from agent.edge.threads import WorkerThreads


def test_works_if_no_further_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The existing threads do the work. Without any thread, `submit` fails."""
    with WorkerThreads(2, "busy") as busy, WorkerThreads(2, "none") as none:
        started, release = threading.Event(), threading.Event()

        def first() -> bool:
            started.set()
            return release.wait(30)

        occupied = busy.submit(first)
        assert started.wait(30)

        def full(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")  # the error of CPython if clone(2) fails

        monkeypatch.setattr(threading.Thread, "start", full)
        later = busy.submit(lambda: "done")
        with pytest.raises(RuntimeError):
            none.submit(lambda: "never")
        release.set()
        assert occupied.result(30)
        assert later.result(30) == "done"


def _alive(name: str) -> int:
    return sum(thread.name.startswith(f"{name}_") for thread in threading.enumerate())


def test_idle_threads_end() -> None:
    """After many calls at once, no thread is left. The standard pool would keep all of them."""
    with WorkerThreads(8, "crowd", idle_s=0.05) as crowd:
        together = threading.Barrier(8, timeout=30)
        calls = [crowd.submit(together.wait) for _ in range(8)]
        assert sorted(call.result(30) for call in calls) == list(range(8))
        end = time.monotonic() + 30
        while _alive("crowd"):
            assert time.monotonic() < end, "threads are left"
            time.sleep(0.01)
        assert crowd.submit(lambda: "one more").result(30) == "one more"


def test_sequential_calls_use_one_thread() -> None:
    """The thread that became idle last works next, so that the others end."""
    with WorkerThreads(8, "line", idle_s=0.5) as line:
        together = threading.Barrier(3, timeout=30)
        for call in [line.submit(together.wait) for _ in range(3)]:
            call.result(30)
        end = time.monotonic() + 30
        # In turn, each of the three threads would work every 0.03 s, and none would end.
        while _alive("line") > 1:
            assert time.monotonic() < end, "threads are left"
            line.submit(time.sleep, 0.01).result(30)


def test_an_error_reaches_the_caller() -> None:
    """The caller gets whatever the call raises, and the thread continues."""
    with WorkerThreads(1, "wrong") as wrong:
        with pytest.raises(ZeroDivisionError):
            wrong.submit(lambda: 1 // 0).result(30)
        assert wrong.submit(lambda: 1).result(30) == 1
