"""Runs calls that may block, so that a file system or a name server that hangs costs only itself."""

import asyncio
import errno
import signal
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

T = TypeVar("T")


class NoThreadError(OSError):
    """The machine allows no further thread (a limit on processes)."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "no thread can be started: a limit on processes is reached")


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
        self._waiting: Final[dict[Hashable, deque[tuple[Future[Any], Callable[[], Any]]]]] = {}
        self._busy: Final[set[Hashable]] = set()

    async def call(self, resource: Hashable, work: Callable[[], T], *, timeout: float | None) -> T:
        """Return what `work` returns. If the caller gives up, a call that has started ends in the background.

        Raises:
            TimeoutError: `work` did not end within `timeout` seconds, including its wait for the resource.
            NoThreadError: no thread can be started.
        """
        async with asyncio.timeout(timeout):
            return await asyncio.wrap_future(self.submit(resource, work))

    def busy(self, resource: Hashable) -> bool:
        """Return whether a call for this resource has not ended yet."""
        return resource in self._busy

    def submit(self, resource: Hashable, work: Callable[[], T]) -> "Future[T]":
        """Start `work` without waiting for it. Raises NoThreadError if no thread can be started and none exists."""
        future: Future[T] = Future()
        with self._mutex:
            # Calls that were given up must not pile up while the resource hangs.
            calls = [call for call in self._waiting.get(resource, ()) if not call[0].cancelled()]
            self._waiting[resource] = deque([*calls, (future, work)])
            if resource not in self._busy and len(self._busy) < self._limit:
                self._start(resource)
        return future

    def _start(self, resource: Hashable) -> None:
        """Start a thread. If that fails but another thread of this kind exists, that one does the work later."""
        thread = threading.Thread(target=self._run, args=(resource,), name=self._kind, daemon=True)
        self._busy.add(resource)
        try:
            thread.start()
        except RuntimeError as error:
            self._busy.remove(resource)
            if not self._busy:
                del self._waiting[resource]
                raise NoThreadError from error

    def _run(self, resource: Hashable) -> None:
        # systemd sends SIGABRT to a stuck agent to get a traceback of the event loop's thread (cli/run.py).
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})
        following: Hashable | None = resource
        while following is not None:
            following = self._work(following)

    def _work(self, resource: Hashable) -> Hashable | None:
        """Make all calls that wait for this resource. Returns the next resource, or None if none waits."""
        while True:
            with self._mutex:
                calls = self._waiting[resource]
                if not calls:
                    del self._waiting[resource]
                    self._busy.remove(resource)
                    following = next((other for other in self._waiting if other not in self._busy), None)
                    if following is not None:
                        self._busy.add(following)
                    return following
                future, work = calls.popleft()
            _answer(future, work)
            del future, work  # the result may be large, and the next call may hang


class BlockingExecutor(ThreadPoolExecutor):
    """Runs asyncio's own blocking calls (`asyncio.to_thread`), each as a resource of its own.

    The standard pool never shrinks, and waits at exit for threads that hang. This class inherits from it only because
    asyncio accepts nothing else as the default executor.
    """

    def __init__(self, kind: str, *, limit: int) -> None:
        super().__init__(1)
        self._calls: Final = BlockingCalls(kind, limit=limit)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        return self._calls.submit(object(), lambda: fn(*args, **kwargs))


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
