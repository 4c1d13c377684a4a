"""Threads beside the loop's."""

import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

_IDLE_S: Final = 5.0
"""Longer than the second between two looks at a directory, so that those keep one thread and start none."""


class WorkerThreads(ThreadPoolExecutor):
    """At most `count` threads for calls that may block; one that has had nothing to do for a while ends.

    The standard pool keeps as many as were ever busy at once, each with its stack. It is inherited from only because
    asyncio takes nothing else for its default. Where a machine grants no further thread (pids limit), those that are
    there do the work, later. They leave SIGABRT to the loop's thread: by it systemd asks a stuck agent where it stands.

    Args:
        count: how many calls may be under way at once; the others wait their turn.
        name: what the threads are called, a number after it.
        idle_s: seconds without work after which a thread ends.
    """

    def __init__(self, count: int, name: str, *, idle_s: float = _IDLE_S) -> None:
        super().__init__(count, name)
        self._count: Final = count
        self._name: Final = name
        self._idle_s: Final = idle_s
        self._changing: Final = threading.Lock()
        self._calls: Final[deque[Callable[[], None]]] = deque()
        self._idle: Final[list[threading.Lock]] = []
        self._threads_now = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Raises RuntimeError where there is no thread at all."""
        future: Future[Any] = Future()
        with self._changing:
            self._calls.append(lambda: _run(future, lambda: fn(*args, **kwargs)))
            if self._idle:
                self._idle.pop().release()  # the one that rests shortest, so that the others may end
            elif self._threads_now < self._count:
                self._start()
        return future

    def _start(self) -> None:
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
        bell = threading.Lock()
        bell.acquire()
        while (call := self._next(bell)) is not None:
            call()
            del call  # it may hold what is large, and the next may be long in coming

    def _next(self, bell: threading.Lock) -> Callable[[], None] | None:
        """The next call; none when it is time to end."""
        while True:
            with self._changing:
                if self._calls:
                    return self._calls.popleft()
                self._idle.append(bell)
            if bell.acquire(timeout=self._idle_s):
                continue
            with self._changing:
                if bell in self._idle:
                    self._idle.remove(bell)
                    self._threads_now -= 1
                    return None
            bell.acquire()  # it was rung at the very moment


def _run(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it
        future.set_exception(error)
        del future  # the error's traceback holds this frame, and the future the error
    else:
        future.set_result(result)
