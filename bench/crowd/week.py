"""The simulated week: when environments start, sleep and wake, and when AWS is down. In seconds from Monday 0:00."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR

BOOT: Final = "Wednesday: boot in 1 s"
PAUSE: Final = "Thursday: resume in 1 s after 3 h"
RESUME: Final = "Monday after: resume in 1 s"

LIFE_S: Final = 12 * HOUR
"""The life of an ECR token."""


@dataclass(frozen=True, slots=True)
class Awake:
    """One stretch in which all environments are awake.

    `name` identifies it. The first one starts at `begin`, the last one `spread_s` later: evenly, or most of them in the
    middle (`peaked`, a triangle). All sleep from `end` on. `anew` is the share of new environments, which have no
    token. The others resume with the token that they had. `paused` means that they slept only in the middle of the
    day, so their tokens are still valid.
    """

    name: str
    begin: float
    end: float
    spread_s: float
    anew: float = 0.0
    peaked: bool = False
    paused: bool = False

    def starts(self, number: int, chance: np.random.Generator) -> Seconds:
        if self.peaked:
            middle = self.begin + self.spread_s / 2
            return chance.triangular(self.begin, middle, self.begin + self.spread_s, number)
        return chance.uniform(self.begin, self.begin + self.spread_s, number)


@dataclass(frozen=True, slots=True)
class Week:
    """`outage` is the begin and the end of the time in which AWS does not answer, or answers 5xx."""

    awake: Sequence[Awake]
    outage: tuple[float, float]

    @property
    def length_s(self) -> int:
        return int(self.awake[-1].end) + 1


def at(day: int, hour: float) -> float:
    """Return the time in seconds. Day 0 is Monday."""
    return day * DAY + hour * HOUR


def office_week(outage_hour: float = 14.5) -> Week:
    """Return four days from nine to six, a night of long builds, and the Monday after.

    After Thursday's pause, one of ten environments is new. The other nine have tokens that are valid but overdue.
    All stay awake in the following night, so tokens live and end while environments are awake.
    Half past two on Tuesday is the worst time for an outage: most tokens that were obtained at nine are due then.
    """
    nine, six, few = 9.0, 18.0, 5 * MINUTE
    return Week(
        awake=(
            Awake("Monday: boot in 5 min", at(0, nine), at(0, six), few, anew=1.0, peaked=True),
            Awake("Tuesday: resume in 5 min", at(1, nine), at(1, six), few, peaked=True),
            Awake(BOOT, at(2, nine), at(2, six), 1.0, anew=1.0),
            Awake("Thursday: resume in 30 min", at(3, nine), at(3, 13), 30 * MINUTE),
            Awake(PAUSE, at(3, 16), at(4, six), 1.0, anew=0.1, paused=True),
            Awake(RESUME, at(7, nine), at(7, 11), 1.0),
        ),
        outage=(at(1, outage_hour), at(1, outage_hour + 1)),
    )
