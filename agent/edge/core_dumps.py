"""What keeps secrets in memory from reaching a disk."""

import contextlib
import ctypes
import os
import resource
from pathlib import Path
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)
_FILTER: Final = Path("/proc/self/coredump_filter")
# Too small for a file, and the one limit that also keeps the kernel from piping a dump to a collector (Linux's
# fs/coredump.c): 0 does not, and what runs under systemd-coredump or apport is piped.
_NO_CORE: Final = 1


def disable_core_dumps() -> None:
    """No core dumps, neither of this process nor of its children; and files for the user alone.

    Children hold passwords too. They inherit the limit, and the choice of what a dump would hold: nothing (core(5)).
    That no dump may be made at all is this process's alone, since a program that is started can be dumped again.
    """
    # Where somebody set a hard limit of 0 it stays.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (_NO_CORE, _NO_CORE))
    with contextlib.suppress(OSError):  # a kernel without core dumps; once not dumpable, the file is root's
        _FILTER.write_text("0")
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.umask(0o077)
