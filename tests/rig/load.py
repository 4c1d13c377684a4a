"""How much of a wait is due to a busy machine: the time for which ready threads had no processor."""

import os
from itertools import chain

from tests.rig.files import of_threads


def stalled_s(pid: int) -> float:
    """Seconds for which the threads of process `pid`, and those of this one, have waited for a processor so far.

    All threads count: one that waits for a processor may hold the interpreter's lock that the others wait for.
    """
    figures = (of_threads(each, "schedstat") for each in (pid, os.getpid()))
    return sum(int(line.split()[1]) for _, line in chain.from_iterable(figures)) / 1e9
