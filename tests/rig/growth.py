"""How the time of a computation grows with the size of its input, whatever the speed of the machine."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

_FACTOR: Final = 8
_MOST: Final = 3 * _FACTOR
"""Linear time grows by 8, quadratic time by 64."""
_MEASURABLE_S: Final = 0.002
_SMALLEST: Final = 500
_LARGEST: Final = 1 << 20


def assert_linear(work: Callable[[int], object]) -> None:
    """Fail if the time of `work(size)` grows faster than its size, but for a constant factor."""
    size = _SMALLEST
    while (small := cpu_time(partial(work, size))) < _MEASURABLE_S and size < _LARGEST:
        size *= 2
    large = cpu_time(partial(work, size * _FACTOR))
    assert large < _MOST * max(small, _MEASURABLE_S), f"{small:.4f} s for {size}, {large:.4f} s for {_FACTOR} times it"


def cpu_time(work: Callable[[], object]) -> float:
    """The processor time of this thread that the best of three runs takes. Other processes do not count."""
    times = []
    for _ in range(3):
        before = time.thread_time()
        work()
        times.append(time.thread_time() - before)
    return min(times)
