"""Wait for a condition instead of sleeping."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 120.0
"""How long a test waits before it fails. It only ends a hang; a passing test never waits this long."""

_FIRST_PAUSE_S: Final = 0.01
_SLOWER: Final = 1.3
_LONGEST_PAUSE_S: Final = 0.15


def until(what: str, condition: Callable[[], T], timeout: float = PATIENCE_S) -> T:
    """Wait for a true value of `condition`, and return it. Fails with `what` after `timeout` seconds.

    It checks often at first and less often later, because each check costs the agent an answer.
    """
    deadline, pause = time.monotonic() + timeout, _FIRST_PAUSE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:g} s"
        time.sleep(pause)
        pause = min(pause * _SLOWER, _LONGEST_PAUSE_S)
    return value


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for a true value of `condition`, in tests whose event loop must continue."""
    pause = _FIRST_PAUSE_S / 10  # a check is cheap here
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(pause)
            pause = min(pause * _SLOWER, _LONGEST_PAUSE_S)


def throughout(seconds: float, condition: Callable[[], bool]) -> None:
    """Fail as soon as `condition` is false within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition()
        time.sleep(_LONGEST_PAUSE_S)
