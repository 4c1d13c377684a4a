"""How the time of a computation grows with the size of its input, whatever the speed of the machine."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

_FACTOR: Final = 32
_SLOW_MEMORY: Final = 8
"""At 32 times the size, linear time grows by 32, or by up to 180 where memory is slow, and quadratic time by 1,024."""
_MEASURABLE_S: Final = 0.0002
_SMALLEST: Final = 1000
_LARGEST: Final = 1 << 16
_ATTEMPTS: Final = 3
"""A busy machine disturbs a measurement now and then, and not each time."""


def assert_linear(work: Callable[[int], object], factor: int = _FACTOR) -> None:
    """Fail if the time of `work(size)` grows faster than its size, but for a constant factor.

    If the work ignores what exceeds a size, choose `factor` so that 1,000 times `factor` does not exceed it.
    """
    size = _SMALLEST
    while cpu_time(partial(work, size)) < _MEASURABLE_S and size < _LARGEST:
        size *= 4
    times = []
    for _ in range(_ATTEMPTS):
        times.append((cpu_time(partial(work, size)), cpu_time(partial(work, size * factor))))
        if times[-1][1] < factor * _SLOW_MEMORY * max(times[-1][0], _MEASURABLE_S):
            return
    raise AssertionError(f"seconds for a size of {size}, and for {factor} times that: {times}")


def cpu_time(work: Callable[[], object]) -> float:
    """The processor time of this thread. Other processes do not count."""
    before = time.thread_time()
    work()
    return time.thread_time() - before
