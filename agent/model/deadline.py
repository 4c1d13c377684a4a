"""A moment told by two clocks, so that neither a sleep nor a clock that is set back makes us miss it."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Deadline:
    """Reached when the wall clock shows `at`, or when as much monotonic time (seconds) has gone by.

    The wall clock moves while the machine sleeps, the monotonic one does not move when the wall clock is set back.
    """

    at: datetime
    monotonic: float

    @classmethod
    def after(cls, wait: timedelta, now: datetime, monotonic: float) -> "Deadline":
        return cls(now + wait, monotonic + wait.total_seconds())

    @classmethod
    def when(cls, at: datetime, now: datetime, monotonic: float) -> "Deadline":
        return cls(at, monotonic + (at - now).total_seconds())

    def left(self, now: datetime, monotonic: float) -> float:
        """Seconds; zero or less when it is reached."""
        return min((self.at - now).total_seconds(), self.monotonic - monotonic)
