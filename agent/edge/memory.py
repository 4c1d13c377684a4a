"""Keeps the memory of the process small over a long time."""

import contextlib
import ctypes
import gc
from typing import Final

# mallopt(3). One arena: by default glibc creates up to eight per processor, and each keeps the memory that its threads
# have freed. The interpreter lock lets only one thread allocate at a time anyway. Fixed thresholds: by default they
# grow with the largest block that was ever freed, and freed blocks below them stay in the process.
_OPTIONS: Final = {-8: 1, -3: 128 << 10, -1: 128 << 10}  # M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def return_freed_memory() -> None:
    """Make glibc return freed memory to the system. With another C library, this has no effect."""
    with contextlib.suppress(AttributeError, OSError):
        for option, value in _OPTIONS.items():
            ctypes.CDLL(None).mallopt(option, value)


def freeze_loaded_objects() -> None:
    """Exclude all existing objects from garbage collection. A collection then takes 2 ms instead of 20 ms."""
    gc.collect()
    gc.freeze()


def collect() -> None:
    """Free reference cycles. A failed TLS handshake leaves one of 256 KiB, which an idle agent would keep for hours."""
    gc.collect()
