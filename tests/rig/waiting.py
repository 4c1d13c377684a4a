"""Waiting for a condition instead of for time."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_LOOK_EVERY_S: Final = 0.02


def until(what: str, condition: Callable[[], T], timeout: float = 45.0) -> T:
    """The first true value that `condition` gives; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:g} s"
        time.sleep(_LOOK_EVERY_S)
    return value


def throughout(seconds: float, condition: Callable[[], bool]) -> None:
    """Fails as soon as `condition` is false within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition()
        time.sleep(_LOOK_EVERY_S)
