"""A timer that any thread can set and that wakes the event loop (timerfd_create(2)). No thread waits for it."""

import ctypes
import os
from typing import Final

_CLOCK_MONOTONIC: Final = 1


class Timer:
    """Its `descriptor` is readable once the time is over.

    Raises OSError if no descriptor is left, or the kernel has no timerfd.
    """

    def __init__(self) -> None:
        self._libc: Final = ctypes.CDLL(None, use_errno=True)
        # TFD_NONBLOCK and TFD_CLOEXEC have the values of these flags.
        self.descriptor: Final = int(self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def set(self, seconds: float) -> None:
        """Start again with this time. 0 stops the timer."""
        whole, rest = divmod(seconds, 1)
        # struct itimerspec: an interval, which is 0 for a single time, and the time; each as seconds and nanoseconds.
        self._libc.timerfd_settime(self.descriptor, 0, (ctypes.c_long * 4)(0, 0, int(whole), int(rest * 1e9)), None)

    def close(self) -> None:
        os.close(self.descriptor)
