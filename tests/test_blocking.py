"""Tests of calls that may block: a resource that hangs costs only itself."""

import asyncio
import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.blocking import BlockingCalls, NoThreadError, OngoingCall, OthersHangError, start_thread

PATIENCE_S = 30.0


@pytest.fixture
def answers() -> Iterator[threading.Event]:
    """Calls hang until this event is set. It is set at the end, so no thread is left."""
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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - another thread changes the condition
            await asyncio.sleep(0.001)


def threads_named(kind: str) -> int:
    return sum(thread.name == kind for thread in threading.enumerate())


async def test_a_resource_that_hangs_costs_one_thread_and_no_other_resource(answers: threading.Event) -> None:
    """Further calls for it fail at their deadline. Another resource answers at once."""
    calls = BlockingCalls("two", limit=2)
    hanging = await hang(calls, "a", answers)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await calls.call("a", lambda: None, timeout=0.01)
    assert await calls.call("b", lambda: "b", timeout=PATIENCE_S) == "b"
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


@pytest.mark.parametrize("limit", [1, 4])
async def test_resources_that_hang_do_not_stop_those_that_are_well(answers: threading.Event, limit: int) -> None:
    """However many hang: each gives up its place after a moment. Neither kind of caller waits for them."""
    calls = BlockingCalls("well", limit=limit, slow_s=0.01)
    hanging = [await hang(calls, str(number), answers) for number in range(limit)]
    late = [asyncio.create_task(calls.call(n, lambda: answers.wait(PATIENCE_S), timeout=0.2)) for n in range(9)]
    assert await calls.call("well", lambda: "well", timeout=PATIENCE_S) == "well"
    assert await OngoingCall[str](calls, "also well").result(lambda: "well", timeout=PATIENCE_S) == "well"
    assert all(isinstance(end, TimeoutError) for end in await asyncio.gather(*late, return_exceptions=True))
    answers.set()
    assert all(await asyncio.gather(*hanging))
    await until(lambda: not threads_named("well"))


async def test_threads_that_hang_are_limited_and_the_error_says_so(answers: threading.Event) -> None:
    """A call that gets no thread is not blamed itself. It works again once the others answer."""
    calls, started = BlockingCalls("many", slow_s=0.01), threading.Semaphore(0)

    def work() -> bool:
        started.release()
        return answers.wait(PATIENCE_S)

    many = [asyncio.create_task(calls.call(number, work, timeout=PATIENCE_S)) for number in range(129)]
    for _ in many:
        assert await asyncio.to_thread(started.acquire, timeout=PATIENCE_S)
    with pytest.raises(OthersHangError, match="129 others hang"):
        await calls.call("well", lambda: None, timeout=0.05)
    with pytest.raises(TimeoutError) as hangs:
        await calls.call(0, lambda: None, timeout=0.05)
    assert not isinstance(hangs.value, OthersHangError)
    assert threads_named("many") == len(many)
    answers.set()
    assert all(await asyncio.gather(*many))
    assert await calls.call("well", lambda: "well", timeout=PATIENCE_S) == "well"


async def test_a_cancelled_caller_leaves_the_call_to_finish(answers: threading.Event) -> None:
    """A call that has started ends in the background."""
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


async def test_a_result_that_nobody_takes_is_discarded(answers: threading.Event) -> None:
    """It may hold a file or a lock. This holds for a caller that is cancelled, and for one whose deadline passes."""
    calls, discarded, started = BlockingCalls("late", limit=2), list[str](), threading.Event()

    def work(name: str) -> str:
        started.set()
        answers.wait(PATIENCE_S)
        return name

    caller = asyncio.create_task(
        calls.call("a", lambda: work("cancelled"), timeout=PATIENCE_S, discard=discarded.append)
    )
    assert await asyncio.to_thread(started.wait, PATIENCE_S)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    with pytest.raises(TimeoutError):
        await calls.call("b", lambda: work("late"), timeout=0.01, discard=discarded.append)
    answers.set()
    await until(lambda: len(discarded) == 2)
    assert sorted(discarded) == ["cancelled", "late"]
    assert await calls.call("a", lambda: work("taken"), timeout=PATIENCE_S, discard=discarded.append) == "taken"
    assert len(discarded) == 2


async def test_calls_for_one_resource_run_in_order(answers: threading.Event) -> None:
    """They never overlap, and a cancelled call is not made."""
    calls, made = BlockingCalls("order", limit=4), list[int]()
    await hang(calls, "a", answers)
    futures = [calls.submit("a", lambda number=number: made.append(number)) for number in range(5)]  # type: ignore[misc]
    assert futures[2].cancel()
    answers.set()
    await asyncio.gather(*(asyncio.wrap_future(future) for future in futures if not future.cancelled()))
    assert made == [0, 1, 3, 4]


async def test_calls_that_were_given_up_do_not_pile_up(answers: threading.Event) -> None:
    """While a resource hangs, only the last of them is kept."""

    class Work:
        def __call__(self) -> None: ...

    calls, kept = BlockingCalls("test"), weakref.WeakSet[Work]()
    hanging = await hang(calls, "a", answers)

    async def give_up() -> None:
        work = Work()
        kept.add(work)
        waiting = asyncio.ensure_future(calls.call("a", work, timeout=PATIENCE_S))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    for _ in range(50):
        await give_up()
    gc.collect()
    assert len(kept) <= 1
    answers.set()
    assert await hanging


async def test_an_error_reaches_the_caller() -> None:
    """The caller gets whatever the call raises, and the next call works."""
    calls = BlockingCalls("wrong")
    with pytest.raises(ZeroDivisionError):
        await calls.call("a", lambda: 1 // 0, timeout=PATIENCE_S)
    assert await calls.call("a", lambda: 1, timeout=PATIENCE_S) == 1


async def test_works_if_no_further_thread_can_start(monkeypatch: pytest.MonkeyPatch, answers: threading.Event) -> None:
    """A thread that exists does the work. Without any thread, the call fails and reports why."""
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


async def test_threads_end_after_their_calls() -> None:
    """After many calls at once, no thread is left. The standard pool would keep all of them."""
    crowd = BlockingCalls("crowd", limit=8)
    together = threading.Barrier(8, timeout=PATIENCE_S)
    calls = [crowd.submit(number, together.wait) for number in range(8)]
    assert sorted(call.result(PATIENCE_S) for call in calls) == list(range(8))
    await until(lambda: not threads_named("crowd"))


@pytest.mark.parametrize("resource", [None, False, ""])
async def test_any_value_can_name_a_resource(resource: object) -> None:
    """For example the PATH of an environment that has none."""
    calls = BlockingCalls("any")
    first = calls.submit(resource, lambda: 1)
    second = calls.submit("other", lambda: 2)
    third = calls.submit(resource, lambda: 3)
    assert [call.result(PATIENCE_S) for call in (first, second, third)] == [1, 2, 3]


async def test_a_call_that_already_hangs_for_longer_fails_at_once(answers: threading.Event) -> None:
    """No caller waits again for a resource that is already late. Once it answers, calls work again."""
    calls = BlockingCalls("overdue")
    await hang(calls, "a", answers)
    with pytest.raises(TimeoutError):
        await calls.call("a", lambda: None, timeout=0.01)
    made: list[int] = []
    with pytest.raises(TimeoutError):
        calls.call("a", lambda: made.append(1), timeout=0.01).send(None)  # it does not even yield to the loop
    answers.set()
    assert await calls.call("a", lambda: "a", timeout=PATIENCE_S) == "a"
    assert not made, "a call that failed at once must not be made later"


async def test_a_late_result_is_kept(answers: threading.Event) -> None:
    """A directory that always takes long is used in the end. Meanwhile, no second call is made."""
    made = []

    def work() -> str:
        made.append(1)
        answers.wait(PATIENCE_S)
        return "late"

    reading = OngoingCall[str](BlockingCalls("late"), "a")
    assert not reading.running_s
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await reading.result(work, timeout=0.01)
    assert reading.running_s
    answers.set()
    assert await reading.result(work, timeout=PATIENCE_S) == "late"
    assert (len(made), reading.running_s) == (1, 0)


def test_a_thread_never_gets_the_signal_for_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread inherits the mask of its creator. A mask that it set itself would come too late now and then."""
    masks = []
    start = threading.Thread.start

    def observed(thread: threading.Thread) -> None:
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", observed)
    start_thread(lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "any").join(PATIENCE_S)
    assert [signal.SIGABRT in mask for mask in masks] == [True, True]
    assert signal.SIGABRT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
