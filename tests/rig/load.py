"""How much of a wait is the machine's fault: time for which threads were ready to run, but had no processor."""

from contextlib import suppress
from pathlib import Path


def stalled_s(pid: int) -> float:
    """Seconds for which the threads of process `pid`, and the calling thread, have waited for a processor so far."""
    files = [*Path(f"/proc/{pid}/task").glob("*/schedstat"), Path("/proc/thread-self/schedstat")]
    waited_ns = 0
    for file in files:
        with suppress(OSError):  # a thread that has ended
            waited_ns += int(file.read_text().split()[1])
    return waited_ns / 1e9
