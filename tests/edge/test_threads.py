"""The threads that do what may block."""

import threading
import time

import pytest

from agent.edge.threads import WorkerThreads


def test_a_machine_without_room_for_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked then is done by the threads that are there; without any it is refused."""
    with WorkerThreads(2, "busy") as busy, WorkerThreads(2, "none") as none:
        begun, release = threading.Event(), threading.Event()

        def first() -> bool:
            begun.set()
            return release.wait(30)

        occupied = busy.submit(first)
        assert begun.wait(30)

        def full(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")  # as CPython says it where clone(2) fails

        monkeypatch.setattr(threading.Thread, "start", full)
        later = busy.submit(lambda: "done")
        with pytest.raises(RuntimeError):
            none.submit(lambda: "never")
        release.set()
        assert occupied.result(30)
        assert later.result(30) == "done"


def test_threads_that_have_nothing_to_do_end() -> None:
    """After a crowd of calls no thread is left; without that the most there ever was would stay for good."""
    with WorkerThreads(8, "crowd", idle_s=0.05) as crowd:
        together = threading.Barrier(8, timeout=30)
        calls = [crowd.submit(together.wait) for _ in range(8)]
        assert sorted(call.result(30) for call in calls) == list(range(8))
        end = time.monotonic() + 30
        while any(thread.name.startswith("crowd_") for thread in threading.enumerate()):
            assert time.monotonic() < end, "threads are left"
            time.sleep(0.01)
        assert crowd.submit(lambda: "one more").result(30) == "one more"


def test_calls_one_after_the_other_need_one_thread() -> None:
    """The thread that rests shortest works next, so that the others come to their end."""
    with WorkerThreads(8, "line") as line:
        together = threading.Barrier(3, timeout=30)
        for call in [line.submit(together.wait) for _ in range(3)]:
            call.result(30)
        names = set()
        for _ in range(20):
            names.add(line.submit(lambda: threading.current_thread().name).result(30))
            end = time.monotonic() + 30
            while len(line._idle) < 3:
                assert time.monotonic() < end, "a thread does not come to rest"
        assert len(names) == 1


def test_an_error_reaches_who_waits() -> None:
    """Whatever a call raises belongs to its caller, and the thread goes on."""
    with WorkerThreads(1, "wrong") as wrong:
        with pytest.raises(ZeroDivisionError):
            wrong.submit(lambda: 1 // 0).result(30)
        assert wrong.submit(lambda: 1).result(30) == 1
