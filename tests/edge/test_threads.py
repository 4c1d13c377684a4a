"""The threads that do what may block."""

import threading

import pytest

from agent.edge.threads import worker_threads


def test_a_machine_without_room_for_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked then is done by the threads that are there; without any it is refused."""
    with worker_threads(2, "busy") as busy, worker_threads(2, "none") as none:
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
