"""Moves the wall clock of a process with faketime. Its monotonic clock continues, as while a machine is suspended."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.rig.needs import need


def library() -> Path:
    """The library that shows a program another time."""
    need("faketime")
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def moved_by(offset: Path) -> dict[str, str]:
    """The environment of a program whose wall clock is ahead by what the file `offset` contains."""
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # otherwise the interpreter's own lock spins
        "NO_FAKE_STAT": "1",
    }


def seconds(by: timedelta) -> str:
    """The content of such a file."""
    return f"{by.total_seconds():+.0f}"


class MovedClock:
    """`environment` makes a process use this clock."""

    def __init__(self, directory: Path) -> None:
        self._offset: Final = directory / "offset"
        self.set(timedelta())
        self.environment: Final = moved_by(self._offset)

    def set(self, by: timedelta) -> None:
        """Set how far the clock is ahead of the machine's."""
        unfinished = self._offset.with_suffix(".new")
        unfinished.write_text(seconds(by))
        unfinished.replace(self._offset)
