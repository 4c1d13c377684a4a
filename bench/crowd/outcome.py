"""What a simulated week came to."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.crowd.record import Cause, Counts, Record
from bench.crowd.week import Seconds, Week

WINDOW_S: Final = 10
_AFTER_S: Final = 3 * 3600
_MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Storm:
    """A stretch that many began without a valid login. Seconds, each environment's from its own start on.

    `last_s` is from the first start to the last login, and `floor_s` what the quota and the spread of the starts
    alone take for that.
    """

    name: str
    number: int
    half_s: float
    most_s: float
    last_s: float
    floor_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run's figures. Peaks are calls a second, of the busiest ten seconds.

    `lost` counts the logins that ended although they could have been renewed in time, by cause; `without_h` the hours
    of all environments without a valid login, by cause; `minutes` the busiest second of each minute, for the plots.
    """

    number: int
    plain: bool
    calls: int
    throttled: int
    peak_after_outage: float
    peak_after_pause: float
    lost: dict[Cause, int]
    without_h: dict[Cause, float]
    storms: tuple[Storm, ...]
    minutes: dict[str, Counts]

    def storm(self, name: str) -> Storm:
        return next(storm for storm in self.storms if storm.name == name)


def outcome_of(record: Record, week: Week, *, number: int, plain: bool, quota: float) -> Outcome:
    pause = next(awake for awake in week.awake if awake.paused)
    return Outcome(
        number=number,
        plain=plain,
        calls=int(record.calls.sum()),
        throttled=int(record.throttled.sum()),
        peak_after_outage=_peak(record.calls, week.outage[1]),
        peak_after_pause=_peak(record.calls, pause.begin),
        lost={cause: int(record.lost[cause]) for cause in Cause},
        without_h={cause: float(record.without[cause].sum()) / 3600 for cause in Cause},
        storms=tuple(_storms(record, week, quota)),
        minutes={name: _minutes(counts) for name, counts in series(record).items()},
    )


def series(record: Record) -> dict[str, Counts]:
    """What is plotted, for each second."""
    return {"calls": record.calls, "throttled": record.throttled, "without": record.without.sum(axis=0)}


def smooth(counts: Counts) -> Seconds:
    """The mean of each ten seconds, one after the other by a second."""
    return np.convolve(counts, np.ones(WINDOW_S) / WINDOW_S, "valid")


def _peak(calls: Counts, since: float) -> float:
    begin = int(since)
    return float(smooth(calls[begin : begin + _AFTER_S]).max())


def _minutes(counts: Counts) -> Counts:
    whole = len(counts) // _MINUTE_S * _MINUTE_S
    busiest: Counts = counts[:whole].reshape(-1, _MINUTE_S).max(axis=1)
    return busiest


def _storms(record: Record, week: Week, quota: float) -> list[Storm]:
    found = []
    for awake in week.awake:
        parts = record.logins.get(awake.name)
        if not parts:
            continue
        since, came = (np.concatenate(part) for part in zip(*parts, strict=True))
        half, most = np.quantile(came - since, (0.5, 0.99))
        found.append(
            Storm(
                name=awake.name,
                number=len(came),
                half_s=float(half),
                most_s=float(most),
                last_s=float(came.max()) - awake.begin,
                floor_s=max(len(came) / quota, awake.spread_s),
            )
        )
    return found
