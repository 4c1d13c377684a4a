"""Worker threads for calls that may block."""

import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

_IDLE_S: Final = 5.0
"""Longer than the second between two checks of a directory, so that these checks reuse one thread."""


class WorkerThreads(ThreadPoolExecutor):
    """At most `count` threads for calls that may block. A thread that has been idle for a while ends.

    The standard pool never shrinks: it keeps as many threads as were ever busy at once, each with its stack. This class
    inherits from it only because asyncio accepts nothing else as the default executor. If the machine allows no further
    thread (pids limit), the existing threads do the work later. The threads block SIGABRT, because systemd sends it to
    a stuck agent to get a traceback of the event loop's thread.

    Args:
        count: the maximum number of calls that run at once. Further calls wait.
        name: the name of the threads, followed by a number.
        idle_s: seconds without work after which a thread ends.
    """

    def __init__(self, count: int, name: str, *, idle_s: float = _IDLE_S) -> None:
        super().__init__(count, name)
        self._count: Final = count
        self._name: Final = name
        self._idle_s: Final = idle_s
        self._mutex: Final = threading.Lock()
        self._calls: Final[deque[Callable[[], None]]] = deque()
        self._idle: Final[list[threading.Lock]] = []
        self._threads_now = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run `fn` in a thread. Raises RuntimeError if no thread can be started and none exists."""
        future: Future[Any] = Future()
        with self._mutex:
            self._calls.append(lambda: _run(future, lambda: fn(*args, **kwargs)))
            if self._idle:
                # Wake the thread that became idle last, so that the others can end.
                self._idle.pop().release()
            elif self._threads_now < self._count:
                self._start()
        return future

    def _start(self) -> None:
        """Start a thread. Ignore a failure if another thread exists that can do the work."""
        thread = threading.Thread(target=self._work, name=f"{self._name}_{self._threads_now}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads_now:
                self._calls.clear()
                raise
        else:
            self._threads_now += 1

    def _work(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})
        # A lock that this thread holds. `submit` releases it to wake the thread.
        wake_up = threading.Lock()
        wake_up.acquire()
        while (call := self._next(wake_up)) is not None:
            call()
            del call  # it may hold large objects, and the next call may come much later

    def _next(self, wake_up: threading.Lock) -> Callable[[], None] | None:
        """Return the next call, or None if this thread has been idle for too long."""
        while True:
            with self._mutex:
                if self._calls:
                    return self._calls.popleft()
                self._idle.append(wake_up)
            if wake_up.acquire(timeout=self._idle_s):
                continue
            with self._mutex:
                if wake_up in self._idle:
                    self._idle.remove(wake_up)
                    self._threads_now -= 1
                    return None
            wake_up.acquire()  # `submit` released it right after the timeout


def _run(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - the caller of the future gets it
        future.set_exception(error)
        del future  # breaks a reference cycle: error, traceback, this frame, future
    else:
        future.set_result(result)
