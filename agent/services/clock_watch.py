"""Detects that the machine slept or its clock was set: the wall clock and the monotonic clock then disagree."""

from collections.abc import Callable
from typing import Final

from agent.services.ports import Board, Clock, Log

_TOLERANCE_S: Final = 2.0
"""Smaller differences are corrections by NTP, not jumps."""


class ClockWatch:
    """Counts clock jumps. `on_jump` makes other components compare their deadlines with the new time."""

    def __init__(self, clock: Clock, board: Board, log: Log, on_jump: Callable[[], None]) -> None:
        self._clock: Final = clock
        self._board: Final = board
        self._log: Final = log
        self._on_jump: Final = on_jump
        self._wall, self._monotonic = clock.now(), clock.monotonic()

    def check(self) -> None:
        """Compare both clocks with the last check."""
        before, self._wall = self._wall, self._clock.now()
        elapsed, self._monotonic = self._clock.monotonic() - self._monotonic, self._clock.monotonic()
        # Both clocks advance equally, unless the machine slept or the wall clock was set.
        jump = (self._wall - before).total_seconds() - elapsed
        if abs(jump) > _TOLERANCE_S:
            self._log.info("clock.jumped", seconds=round(jump, 1))
            self._board.clock_jumped()
            self._on_jump()
