"""Threads beside the loop's."""

import signal
from concurrent.futures import ThreadPoolExecutor


class _Workers(ThreadPoolExecutor):
    def _adjust_thread_count(self) -> None:
        """A machine that grants no further thread (pids limit) makes those that are there do the work, later."""
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise


def worker_threads(count: int, name: str) -> ThreadPoolExecutor:
    """At most `count` threads, which leave SIGABRT to the loop's: by it systemd asks a stuck agent where it stands."""
    return _Workers(count, name, signal.pthread_sigmask, (signal.SIG_BLOCK, {signal.SIGABRT}))
