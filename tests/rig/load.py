"""How much of a wait is due to a busy machine: the time for which ready threads had no processor."""

import os
from contextlib import suppress
from pathlib import Path


def stalled_s(pid: int) -> float:
    """Seconds for which the threads of process `pid`, and those of this one, have waited for a processor so far.

    All threads count: one that waits for a processor may hold the interpreter's lock that the others wait for.
    """
    files = [file for each in (pid, os.getpid()) for file in Path(f"/proc/{each}/task").glob("*/schedstat")]
    waited_ns = 0
    for file in files:
        with suppress(OSError):  # a thread that has ended
            waited_ns += int(file.read_text().split()[1])
    return waited_ns / 1e9
