"""Moves the wall clock of a process with faketime. Its monotonic clock continues, as while a machine is suspended."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.rig.needs import need


class MovedClock:
    """`environment` makes a process use this clock."""

    def __init__(self, directory: Path) -> None:
        need("faketime")
        self._offset: Final = directory / "offset"
        self.set(timedelta())
        self.environment: Final = {
            "LD_PRELOAD": str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # otherwise the interpreter's own lock spins
            "NO_FAKE_STAT": "1",
        }

    def set(self, by: timedelta) -> None:
        """Set how far the clock is ahead of the machine's."""
        unfinished = self._offset.with_suffix(".new")
        unfinished.write_text(f"{by.total_seconds():+.0f}")
        unfinished.replace(self._offset)
