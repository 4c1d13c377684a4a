"""Runs calls that may block, so that a file system or a name server that hangs costs only itself."""

import asyncio
import errno
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
_Call = tuple[Future[Any], Callable[[], Any]]


class NoThreadError(OSError):
    """The machine allows no further thread (a limit on processes)."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "no thread can be started: a limit on processes is reached")


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
        limit: the maximum number of threads. Further resources wait.
    """

    def __init__(self, kind: str, *, limit: int = 1) -> None:
        self._kind: Final = kind
        self._limit: Final = limit
        self._mutex: Final = threading.Lock()
        self._waiting: Final[dict[Hashable, deque[_Call]]] = {}
        self._running: Final[dict[Hashable, float]] = {}
        self._threads = 0

    async def call(self, resource: Hashable, work: Callable[[], T], *, timeout: float | None) -> T:
        """Return what `work` returns. If the caller gives up, a call that has started ends in the background.

        Raises:
            TimeoutError: `work` did not end within `timeout` seconds, including its wait for the resource. If the
                resource has not answered another call for that long already, this is raised at once.
            NoThreadError: no thread can be started.
        """
        started = self._running.get(resource)
        if timeout is not None and started is not None and time.monotonic() - started >= timeout:
            raise TimeoutError
        async with asyncio.timeout(timeout):
            return await asyncio.wrap_future(self.submit(resource, work))

    def submit(self, resource: Hashable, work: Callable[[], T]) -> "Future[T]":
        """Start `work` without waiting for it. Raises NoThreadError if no thread can be started and none exists."""
        future: Future[T] = Future()
        with self._mutex:
            calls = self._waiting.setdefault(resource, deque())
            # Calls that were given up must not pile up while the resource hangs. The oldest are given up first.
            while calls and calls[0][0].cancelled():
                calls.popleft()
            calls.append((future, work))
            if resource not in self._running and self._threads < self._limit:
                self._start(resource)
        return future

    def _start(self, resource: Hashable) -> None:
        """Start a thread. If that fails but another thread of this kind exists, that one does the work later."""
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
            for resource in self._waiting:
                if resource not in self._running:
                    self._running[resource] = time.monotonic()
                    calls = self._waiting.pop(resource)
                    call = calls.popleft()
                    if calls:
                        self._waiting[resource] = calls  # behind the other resources
                    return resource, call
            self._threads -= 1
            return None


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
        # Unlike `asyncio.timeout`, `wait` does not cancel what it waits for.
        await asyncio.wait({self._future}, timeout=timeout)
        if not self._future.done():
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
