"""Threads beside the loop's."""

import signal
from concurrent.futures import ThreadPoolExecutor


def worker_threads(count: int, name: str) -> ThreadPoolExecutor:
    """At most `count` threads, which leave SIGABRT to the loop's: by it systemd asks a stuck agent where it stands."""
    return ThreadPoolExecutor(count, name, signal.pthread_sigmask, (signal.SIG_BLOCK, {signal.SIGABRT}))
