"""The results of a simulated week."""

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
    """The logins of a stretch in which environments had no valid login.

    `half_s` and `most_s` are the seconds that an environment waits without a login: the median and the 99th
    percentile. `last_s` is the time from the first start to the last login. `floor_s` is the minimum for it: the time
    that the quota and the spread of the starts alone take.
    """

    name: str
    number: int
    half_s: float
    most_s: float
    last_s: float
    floor_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of one run. Peaks are calls per second, averaged over the busiest ten seconds.

    `lost` counts the logins that expired while their environment was awake, by cause. `without_h` is the hours without
    a valid login, of all environments, by cause. `minutes` has the busiest second of each minute, for the plots.
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
    """Return the counts that are plotted, for each second."""
    return {"calls": record.calls, "throttled": record.throttled, "without": record.without.sum(axis=0)}


def smooth(counts: Counts) -> Seconds:
    """Return the moving average over ten seconds, in steps of one second."""
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
