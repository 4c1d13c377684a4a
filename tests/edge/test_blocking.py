"""Tests of calls that may block: a resource that hangs costs only itself."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.edge.blocking import BlockingCalls, BlockingExecutor, NoThreadError

PATIENCE_S = 30.0


@pytest.fixture
def answers() -> Iterator[threading.Event]:
    """What hangs until this event is set. It is set at the end, so no thread is left."""
    event = threading.Event()
    yield event
    event.set()


async def hang(calls: BlockingCalls, resource: str, answers: threading.Event) -> "asyncio.Future[bool]":
    started = threading.Event()

    def work() -> bool:
        started.set()
        return answers.wait(PATIENCE_S)

    hanging = asyncio.wrap_future(calls.submit(resource, work))
    assert await asyncio.to_thread(started.wait, PATIENCE_S)
    return hanging


def threads_named(kind: str) -> int:
    return sum(thread.name == kind for thread in threading.enumerate())


async def test_a_resource_that_hangs_costs_one_thread_and_no_other_resource(answers: threading.Event) -> None:
    """Further calls for it fail at their deadline; another resource answers at once."""
    calls = BlockingCalls("two", limit=2)
    hanging = await hang(calls, "a", answers)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await calls.call("a", lambda: None, timeout=0.01)
    assert await calls.call("b", lambda: "b", timeout=PATIENCE_S) == "b"
    assert calls.busy("a")
    assert threads_named("two") <= 2
    answers.set()
    assert await hanging
    assert await calls.call("a", lambda: "a", timeout=PATIENCE_S) == "a"


async def test_a_file_that_hangs_costs_only_itself(tmp_path: Path) -> None:
    """Opening a FIFO waits for a writer, as a file on a dead file system would."""
    calls = BlockingCalls("fifo", limit=2)
    fifo, file = tmp_path / "fifo", tmp_path / "file"
    os.mkfifo(fifo)
    file.write_text("here")
    hanging = asyncio.create_task(calls.call(fifo, fifo.read_text, timeout=PATIENCE_S))
    assert await calls.call(file, file.read_text, timeout=PATIENCE_S) == "here"
    await asyncio.to_thread(fifo.write_text, "late")
    assert await hanging == "late"


async def test_a_full_kind_does_not_hinder_another(answers: threading.Event) -> None:
    """A call of the full kind waits until a thread is free."""
    full, other = BlockingCalls("full"), BlockingCalls("other")
    await hang(full, "a", answers)
    with pytest.raises(TimeoutError):
        await full.call("b", lambda: None, timeout=0.01)
    assert await other.call("b", lambda: "b", timeout=PATIENCE_S) == "b"
    waiting = full.submit("c", lambda: "c")
    answers.set()
    assert await asyncio.wrap_future(waiting) == "c"


async def test_a_cancelled_caller_leaves_the_call_to_finish(answers: threading.Event) -> None:
    """What has started ends in the background."""
    calls, done = BlockingCalls("cancelled"), threading.Event()
    started = threading.Event()

    def work() -> None:
        started.set()
        answers.wait(PATIENCE_S)
        done.set()

    caller = asyncio.create_task(calls.call("a", work, timeout=PATIENCE_S))
    assert await asyncio.to_thread(started.wait, PATIENCE_S)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    answers.set()
    assert done.wait(PATIENCE_S)


async def test_calls_for_one_resource_run_in_order(answers: threading.Event) -> None:
    """They never overlap, and a given-up call is not made."""
    calls, made = BlockingCalls("order", limit=4), list[int]()
    await hang(calls, "a", answers)
    futures = [calls.submit("a", lambda number=number: made.append(number)) for number in range(5)]  # type: ignore[misc]
    assert futures[2].cancel()
    answers.set()
    await asyncio.gather(*(asyncio.wrap_future(future) for future in futures if not future.cancelled()))
    assert made == [0, 1, 3, 4]


async def test_an_error_reaches_the_caller() -> None:
    """The caller gets whatever the call raises, and the next call works."""
    calls = BlockingCalls("wrong")
    with pytest.raises(ZeroDivisionError):
        await calls.call("a", lambda: 1 // 0, timeout=PATIENCE_S)
    assert await calls.call("a", lambda: 1, timeout=PATIENCE_S) == 1


async def test_works_if_no_further_thread_can_start(monkeypatch: pytest.MonkeyPatch, answers: threading.Event) -> None:
    """A thread that exists does the work. Without any thread, the call fails and says why."""
    some, none = BlockingCalls("some", limit=2), BlockingCalls("none")
    await hang(some, "a", answers)

    def full(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")  # the error of CPython if clone(2) fails

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", full)
        later = some.submit("b", lambda: "b")
        with pytest.raises(NoThreadError, match="no thread can be started"):
            await none.call("b", lambda: "never", timeout=PATIENCE_S)
    answers.set()
    assert later.result(PATIENCE_S) == "b"


def test_threads_of_the_executor_end() -> None:
    """After many calls at once, no thread is left. The standard pool would keep all of them."""
    crowd = BlockingExecutor("crowd", limit=8)
    together = threading.Barrier(8, timeout=PATIENCE_S)
    calls = [crowd.submit(together.wait) for _ in range(8)]
    assert sorted(call.result(PATIENCE_S) for call in calls) == list(range(8))
    end = time.monotonic() + PATIENCE_S
    while threads_named("crowd"):
        assert time.monotonic() < end, "threads are left"
        time.sleep(0.01)
