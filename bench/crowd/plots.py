"""Draws the plots of docs/fleet.md, in colours that colour-blind people can distinguish (by Okabe and Ito)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np

from bench.crowd.outcome import WINDOW_S, Outcome, series, smooth
from bench.crowd.record import Record
from bench.crowd.week import DAY, HOUR, MINUTE, Week, at

_BEFORE: Final = "#D55E00"
_NOW: Final = "#0072B2"
_FLEETS: Final = ("#56B4E9", "#009E73", "#0072B2", "#CC79A7")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Mon")
_TITLES: Final = {
    "calls": "calls of GetAuthorizationToken a second",
    "throttled": "throttled calls a second",
    "without": "awake environments without a valid login",
}
_LEAST: Final = 0.5
"""The bottom of the logarithmic axes. It means zero."""
_MOST: Final = 3e6


def draw(
    directory: Path, outcomes: Sequence[Outcome], closer: Mapping[str, Record], week: Week, quota: float
) -> list[Path]:
    """Draw `fleet-calls.png`, `fleet-throttled.png` and `fleet-without-login.png`. Return their paths.

    Args:
        directory: where to write them.
        outcomes: one line each, with today's rules.
        closer: the weeks of one fleet, by the name of the rules, for the three enlarged spans.
        week: the schedule.
        quota: in calls per second.
    """
    mpl.use("Agg")
    return [_draw(directory, name, outcomes, closer, week=week, quota=quota) for name in _TITLES]


def _draw(
    directory: Path, name: str, outcomes: Sequence[Outcome], closer: Mapping[str, Record], *, week: Week, quota: float
) -> Path:
    from matplotlib import pyplot as plt  # noqa: PLC0415 - only after `mpl.use`

    figure, axes = plt.subplot_mosaic([["week"] * 3, ["a", "b", "c"]], figsize=(10, 6), layout="constrained")
    _whole_week(axes["week"], name, outcomes)
    pause = next(awake for awake in week.awake if awake.paused)
    hours = (
        ("Monday after: all resume in 1 s", at(7, 9), -MINUTE, 14 * MINUTE),
        ("Tuesday: an outage of an hour", week.outage[0], -0.25 * HOUR, 2 * HOUR),
        ("Thursday: all resume after 3 h", pause.begin, -2 * MINUTE, 0.75 * HOUR),
    )
    for axis, (title, zero, first, last) in zip((axes["a"], axes["b"], axes["c"]), hours, strict=True):
        _enlarged(axis, name, closer, (zero, first, last))
        axis.set_title(title, fontsize=9)
    axes["b"].axvspan(0, (week.outage[1] - week.outage[0]) / MINUTE, color="0.9", zorder=0)
    axes["a"].legend(fontsize=8)
    for axis in axes.values():
        if name != "without":
            axis.axhline(quota, color="0.4", linestyle="--", linewidth=0.8)
        axis.set_yscale("log")
        axis.set_ylim(_LEAST, _MOST)
        axis.grid(alpha=0.25)
    figure.suptitle(_TITLES[name] + ("" if name == "without" else " (dashed: the quota)"), fontsize=11)
    path = directory / f"fleet-{name if name != 'without' else 'without-login'}.png"
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return path


def _whole_week(axis: Any, name: str, outcomes: Sequence[Outcome]) -> None:
    for outcome, colour in zip(outcomes, _FLEETS, strict=False):
        minutes = outcome.minutes[name]
        axis.plot(
            np.arange(len(minutes)) * MINUTE / DAY,
            _foot(minutes),
            color=colour,
            linewidth=0.9,
            label=f"{outcome.number:,}",
        )
    axis.set_xticks([day + 0.5 for day in range(len(_DAYS))], _DAYS)
    axis.set_xlim(0.25, len(_DAYS) - 0.4)
    axis.set_title("the week, the busiest second of each minute, by the number of environments", fontsize=9)
    axis.legend(fontsize=8, loc="upper right", bbox_to_anchor=(0.86, 1.0))


def _enlarged(axis: Any, name: str, closer: Mapping[str, Record], span: tuple[float, float, float]) -> None:
    zero, first, last = span
    for (rules, record), (colour, width) in zip(closer.items(), ((_BEFORE, 3.0), (_NOW, 1.2)), strict=True):
        begin, end = int(zero + first), min(int(zero + last), record.seconds)
        means = smooth(series(record)[name][begin:end])[:: WINDOW_S // 2]
        minutes = (first + np.arange(len(means)) * (WINDOW_S // 2)) / MINUTE
        axis.plot(minutes, _foot(means), color=colour, linewidth=width, label=rules)
    axis.set_xlabel("minutes, means of 10 s", fontsize=8)
    axis.set_xlim(first / MINUTE, last / MINUTE)


def _foot(values: Any) -> Any:
    """Raise small values to the bottom of the axis. A logarithmic axis cannot show zero."""
    return np.maximum(values, _LEAST)
