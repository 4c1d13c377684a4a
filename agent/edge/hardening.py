"""What keeps secrets in memory from reaching a disk."""

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)


def keep_secrets_in() -> None:
    """No core dumps, not even through a pipe to a collector, which no limit stops; and files for the user alone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.umask(0o077)
