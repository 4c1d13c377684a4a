"""Keeps secrets in memory from reaching the disk in a core dump."""

import contextlib
import ctypes
import os
import resource
from pathlib import Path
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)
_FILTER: Final = Path("/proc/self/coredump_filter")
# Too small for a file. With a limit of 1, the kernel also does not pipe a dump to a collector such as systemd-coredump
# or apport (fs/coredump.c in Linux). With a limit of 0, it does.
_NO_CORE: Final = 1


def disable_core_dumps() -> None:
    """Disable core dumps of this process and its children, and make new files private.

    Children hold passwords too. They inherit the limit, and the filter for the content of a dump: nothing (core(5)).
    The "not dumpable" flag is only for this process, because starting a program resets it.
    """
    # A hard limit of 0 cannot be raised, and stays.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (_NO_CORE, _NO_CORE))
    with contextlib.suppress(
        OSError
    ):  # a kernel without core dumps, or a process that is not dumpable: the file then belongs to root
        _FILTER.write_text("0")
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.umask(0o077)
