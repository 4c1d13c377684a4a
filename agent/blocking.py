"""Runs calls that may block, so that a file system or a name server that hangs costs only itself."""

import asyncio
import errno
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
_Call = tuple[Future[Any], Callable[[], Any]]
_SLOW_S: Final = 1.0
"""After this time, a call counts as hanging and gives up its place."""
_MOST_HANGING: Final = 128
"""How many hanging calls of one kind may give up their places: each one still costs a thread."""


class NoThreadError(OSError):
    """The machine allows no further thread (a limit on processes)."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "no thread can be started: a limit on processes is reached")


class OthersHangError(TimeoutError):
    """The call was not made, because other resources of its kind hang. Its own resource may be well."""

    def __init__(self, hanging: int) -> None:
        super().__init__(errno.ETIMEDOUT, f"there was no thread for it, because {hanging} others hang")


def start_thread(run: Callable[[], object], name: str) -> threading.Thread:
    """Start a daemon thread, so that a call that hangs does not keep the process from ending.

    systemd sends SIGABRT to a stuck agent to get a traceback of the event loop's thread (cli/run.py). Other threads
    block the signal from their first instruction, because they inherit it from this one.

    Raises:
        RuntimeError: no thread can be started.
    """
    thread = threading.Thread(target=run, name=name, daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread


class BlockingCalls:
    """Calls of one kind, such as name lookups. A kind that is full does not hinder other kinds.

    Each resource has at most one thread. Further calls for the same resource wait until the first one ends, so a
    resource that hangs never costs a second thread. A thread ends when no call waits.

    Args:
        kind: the name of the threads.
        limit: the maximum number of calls at once. Further resources wait. A call that hangs gives up its place, so
            that resources that hang do not stop those that are well.
        slow_s: the time after which a call counts as hanging.
    """

    def __init__(self, kind: str, *, limit: int = 1, slow_s: float = _SLOW_S) -> None:
        self._kind: Final = kind
        self._limit: Final = limit
        self._slow_s: Final = slow_s
        self._mutex: Final = threading.Lock()
        self._waiting: Final[dict[Hashable, deque[_Call]]] = {}
        self._running: Final[dict[Hashable, float]] = {}
        self._threads = 0

    async def call(
        self,
        resource: Hashable,
        work: Callable[[], T],
        *,
        timeout: float | None,
        discard: Callable[[T], object] | None = None,
    ) -> T:
        """Return what `work` returns. If the caller gives up, a call that has started ends in the background.

        `discard` then gets its result, in any thread: a result may hold something that must be released.

        Raises:
            TimeoutError: `work` did not end within `timeout` seconds, including its wait for the resource. If the
                resource has not answered another call for that long already, this is raised at once.
            OthersHangError: as TimeoutError, but `work` did not start: too many other resources hang.
            NoThreadError: no thread can be started.
        """
        started = self._running.get(resource)
        if timeout is not None and started is not None and time.monotonic() - started >= timeout:
            raise TimeoutError
        future = self.submit(resource, work)
        answer, is_there = asyncio.wrap_future(future), False
        try:
            is_there = await self.wait(answer, resource, timeout)
            if is_there:
                return answer.result()
            was_made = future.running() or future.done() or resource in self._running
            raise TimeoutError if was_made else OthersHangError(self._hanging())
        finally:
            if not is_there and discard is not None:
                future.add_done_callback(partial(_discard, discard))
            answer.cancel()
            del answer, future  # breaks a reference cycle: error, traceback, this frame, future

    async def wait(self, answer: "asyncio.Future[T]", resource: Hashable, timeout: float | None) -> bool:
        """Wait for the answer of a call, and return whether it is there. The call goes on.

        Calls that hang are noticed here: nothing else happens while all threads hang.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            left = max(end - time.monotonic(), 0)
            # Unlike `asyncio.timeout`, `wait` does not cancel what it waits for.
            await asyncio.wait({answer}, timeout=min(left, self._slow_s))
            if answer.done() or left <= self._slow_s:
                return answer.done()
            with self._mutex:
                self._start_if_possible(resource)

    def submit(self, resource: Hashable, work: Callable[[], T]) -> "Future[T]":
        """Start `work` without waiting for it. Raises NoThreadError if no thread can be started and none exists."""
        future: Future[T] = Future()
        with self._mutex:
            calls = self._waiting.setdefault(resource, deque())
            # Calls that were given up must not pile up while the resource hangs. The oldest are given up first.
            while calls and calls[0][0].cancelled():
                calls.popleft()
            calls.append((future, work))
            self._start_if_possible(resource)
        return future

    def _start_if_possible(self, resource: Hashable) -> None:
        """Start a thread. If that fails but another thread of this kind exists, that one does the work later."""
        if resource in self._running or resource not in self._waiting or self._places_taken() >= self._limit:
            return
        self._threads += 1
        try:
            start_thread(self._run, self._kind)
        except RuntimeError as error:
            self._threads -= 1
            if not self._threads:
                del self._waiting[resource]
                raise NoThreadError from error

    def _run(self) -> None:
        while (following := self._next()) is not None:
            resource, (future, work) = following
            _answer(future, work)
            del following, future, work  # the result may be large, and the next call may hang
            with self._mutex:
                del self._running[resource]

    def _next(self) -> tuple[Hashable, _Call] | None:
        """Return the next call, or None if the thread must end."""
        with self._mutex:
            # Calls that gave up their places may all end at once. Then there are more threads than places.
            for resource in self._waiting if self._places_taken() <= self._limit else ():
                if resource not in self._running:
                    self._running[resource] = time.monotonic()
                    calls = self._waiting.pop(resource)
                    call = calls.popleft()
                    if calls:
                        self._waiting[resource] = calls  # behind the other resources
                    return resource, call
            self._threads -= 1
            return None

    def _places_taken(self) -> int:
        return self._threads - min(self._hanging(), _MOST_HANGING)

    def _hanging(self) -> int:
        now = time.monotonic()
        return sum(now - started >= self._slow_s for started in list(self._running.values()))


class OngoingCall(Generic[T]):
    """A call for one resource whose result is kept, however late it comes, until the next `result`."""

    def __init__(self, calls: BlockingCalls, resource: Hashable) -> None:
        self._calls: Final = calls
        self._resource: Final = resource
        self._future: asyncio.Future[T] | None = None
        self._started = 0.0

    @property
    def running_s(self) -> float:
        """For how long the result has been outstanding. 0 if no call was started."""
        return 0.0 if self._future is None else time.monotonic() - self._started

    async def result(self, work: Callable[[], T], *, timeout: float) -> T:
        """Wait for the call in progress, or make a new one.

        Raises:
            TimeoutError: there is no result after `timeout` seconds. The call continues.
            NoThreadError: no thread can be started.
        """
        if self._future is None:
            self._future = asyncio.wrap_future(self._calls.submit(self._resource, work))
            self._started = time.monotonic()
        if not await self._calls.wait(self._future, self._resource, timeout):
            raise TimeoutError
        future, self._future = self._future, None
        return future.result()


def _answer(future: "Future[T]", work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - the caller of the future gets it
        future.set_exception(error)
        del future  # breaks a reference cycle: error, traceback, this frame, future
    else:
        future.set_result(result)


def _discard(discard: Callable[[T], object], future: "Future[T]") -> None:
    if not future.cancelled() and future.exception() is None:
        discard(future.result())
