"""Waiting for a condition instead of for time."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 120.0
"""How long any test waits before it gives up. It ends a hang; a passing test never waits for it."""

_FIRST_LOOK_S: Final = 0.01
_SLOWER: Final = 1.3
_LOOK_EVERY_S: Final = 0.15


def until(what: str, condition: Callable[[], T], timeout: float = PATIENCE_S) -> T:
    """The first true value that `condition` gives; fails with `what` after `timeout` seconds.

    It looks often at first and less often later: each look costs the agent an answer.
    """
    deadline, pause = time.monotonic() + timeout, _FIRST_LOOK_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:g} s"
        time.sleep(pause)
        pause = min(pause * _SLOWER, _LOOK_EVERY_S)
    return value


def throughout(seconds: float, condition: Callable[[], bool]) -> None:
    """Fails as soon as `condition` is false within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition()
        time.sleep(_LOOK_EVERY_S)
