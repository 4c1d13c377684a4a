"""Formats the figures of the weeks for a terminal and for docs/fleet.md."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.crowd.outcome import Outcome, Storm
from bench.crowd.record import Cause
from bench.crowd.week import BOOT, PAUSE, RESUME

_BEGIN: Final = "<!-- figures: written by make fleet -->"
_END: Final = "<!-- end of figures -->"
_HEAD: Final = (
    "environments",
    "rules",
    "calls",
    "throttled calls",
    "peak after the outage",
    "peak after the pause",
    "logins lost to throttling",
    "boot in 1 s: half · 99 % · last, floor",
    "resume in 1 s: half · 99 % · last, floor",
    "no token at the end of the pause: half · 99 % · last, floor",
)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table with one row for each run. `**` marks today's rules."""
    lines = [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(_row(outcome))} |" for outcome in outcomes)])


def write_into(document: Path, text: str) -> None:
    """Replace the text between the two marks of the document."""
    place = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    before = document.read_text(encoding="utf-8")
    document.write_text(place.sub(lambda _: f"{_BEGIN}\n{text}\n{_END}", before), encoding="utf-8")


def said(outcome: Outcome) -> str:
    """Return the text for a terminal, with one line for each storm."""
    rules = "plain rules" if outcome.plain else "today's rules"
    outage, pause = outcome.peak_after_outage, outcome.peak_after_pause
    lost = ", ".join(f"{count} {cause.name.lower()}" for cause, count in outcome.lost.items())
    without = ", ".join(f"{hours:,.0f} {cause.name.lower()}" for cause, hours in outcome.without_h.items())
    lines = [
        f"{outcome.number:,} environments, {rules}: {outcome.calls:,} calls, {outcome.throttled:,} throttled",
        f"  calls a second, busiest 10 s: {outage:,.0f} after the outage, {pause:,.0f} after the pause",
        f"  logins lost: {lost}",
        f"  hours without a login, all environments: {without}",
    ]
    lines += [f"  {storm.name:<36} {_waits(storm)}" for storm in outcome.storms]
    return "\n".join(lines)


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        f"{outcome.number:,}",
        "before" if outcome.plain else "**now**",
        f"{outcome.calls:,}",
        f"{outcome.throttled:,}",
        f"{outcome.peak_after_outage:,.0f}/s",
        f"{outcome.peak_after_pause:,.0f}/s",
        f"{outcome.lost[Cause.THROTTLED]:,}",
        _waits(outcome.storm(BOOT)),
        _waits(outcome.storm(RESUME)),
        _waits(outcome.storm(PAUSE)),
    )


def _waits(storm: Storm) -> str:
    half, most, last, floor = (f"{s:,.0f}" for s in (storm.half_s, storm.most_s, storm.last_s, storm.floor_s))
    return f"{half} · {most} · {last} s, {floor} s"
