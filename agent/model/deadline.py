"""A deadline on two clocks. Neither a suspend nor a clock that is set back makes the agent miss it."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Deadline:
    """Reached when the wall clock shows `at`, or when the monotonic clock (in seconds) shows `monotonic`.

    The wall clock moves on while the machine is suspended. The monotonic clock is not affected if the wall clock is set
    back.
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
        """Return the seconds that are left; zero or less if the deadline is reached."""
        left = min((self.at - now).total_seconds(), self.monotonic - monotonic)
        # Differences of floats are off by less than a microsecond. That must not wake a login again and again.
        return round(left, 6)
