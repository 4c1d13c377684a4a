"""Counts the events of the simulated week, for each second."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from bench.crowd.week import Seconds

Counts = npt.NDArray[np.int64]
Who = npt.NDArray[np.int64]


class Cause(IntEnum):
    """Why an awake environment has no valid login: the last answer that it got."""

    START = 0
    """No answer yet: it has just started."""
    THROTTLED = 1
    OUTAGE = 2


@dataclass(slots=True)
class Record:
    """Counts for each second; `lost` has one count for the whole week.

    `calls` counts all calls, and `failed` those that failed in the outage. `without` counts the awake environments
    without a valid login, by cause. `lost` counts the environments whose login expired while they were awake, by cause.
    `logins` has the logins of environments that had none, by stretch: since when it was missing, and when it came.
    """

    seconds: int
    calls: Counts = field(init=False)
    throttled: Counts = field(init=False)
    failed: Counts = field(init=False)
    without: Counts = field(init=False)
    lost: Counts = field(init=False)
    logins: dict[str, list[tuple[Seconds, Seconds]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.calls, self.throttled, self.failed = (np.zeros(self.seconds, np.int64) for _ in range(3))
        self.without = np.zeros((len(Cause), self.seconds), np.int64)
        self.lost = np.zeros(len(Cause), np.int64)

    def begin_without(self, causes: Who, at: Seconds) -> None:
        np.add.at(self.without, (causes, at.astype(np.int64)), 1)

    def end_without(self, causes: Who, at: Seconds) -> None:
        np.add.at(self.without, (causes, at.astype(np.int64)), -1)

    def logged_in(self, stretch: str, since: Seconds, at: Seconds) -> None:
        """Record that environments without a valid login got one in this stretch."""
        if len(at):
            self.logins.setdefault(stretch, []).append((since, at))

    def close(self) -> None:
        """Turn the changes of `without` into numbers."""
        np.cumsum(self.without, axis=1, out=self.without)
