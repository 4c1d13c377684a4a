"""Selects which of the agent's events to show: by time, level, registry or login attempt."""

import argparse
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.edge.journal_line import JournalLine

LEVELS: Final = ("debug", "info", "warning", "error")
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN: Final = re.compile(r"(?:\d{1,9}(?:s|min|m|h|d|w))+")
_PART: Final = re.compile(r"(\d+)([a-z]+)")
_OF_PRIORITY: Final = {7: "debug", 6: "info", 5: "info", 4: "warning"}
_LONGEST_AGO: Final = timedelta(days=3650)
_YEARS: Final = range(1971, 9999)
"""Valid years of an event. Others cannot be converted to every time zone."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its line as it was logged, and the fields parsed from it."""

    line: str
    time: datetime
    fields: Mapping[str, Any]

    def get(self, name: str) -> str | None:
        value = self.fields.get(name)
        return value if isinstance(value, str) else None

    def about(self, registry: str) -> bool:
        return registry in (self.get("registry"), self.get("subject"))


def of_memory(lines: Iterable[str]) -> list[Event]:
    """Parse the agent's own lines. Lines that are not events are left out."""
    return [event for line in lines if (event := _event(line)) is not None]


def of_journal(lines: Iterable[JournalLine]) -> list[Event]:
    """Parse lines of the journal.

    Lines of other programs about the unit, such as systemd's, become events named `journal`.
    """
    return [_event(entry.message) or _foreign(entry) for entry in lines]


@dataclass(frozen=True, slots=True)
class Choice:
    """The filters that the user gave; None means no filter.

    `last` limits the result to that many of the newest events that pass the other filters.
    """

    since: datetime | None = None
    level: str | None = None
    registry: str | None = None
    attempt: str | None = None
    last: int | None = None

    def of(self, events: Iterable[Event]) -> list[Event]:
        """Return the events that pass the filters, in their order."""
        chosen = [event for event in events if self._matches(event)]
        return chosen[-self.last :] if self.last else chosen

    def _matches(self, event: Event) -> bool:
        if self.since is not None and event.time < self.since:
            return False
        if self.level is not None and _rank(event.get("level")) < _rank(self.level):
            return False
        if self.attempt is not None and event.get("attempt_id") != self.attempt:
            return False
        return self.registry is None or event.about(self.registry)


def since(argument: str, now: datetime | None = None) -> datetime:
    """Parse a WHEN argument: `10m`, `2h` or `1d12h` ago, or an RFC 3339 time (local if it names no time zone)."""
    wrong = argparse.ArgumentTypeError(f"{argument} is neither like 10m, 2h, 3d nor like 2026-01-31T08:00:00Z")
    try:
        if _SPAN.fullmatch(argument):
            parts = _PART.findall(argument)
            span = timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))
            return (now or datetime.now(UTC)) - min(span, _LONGEST_AGO)
        return datetime.fromisoformat(argument.upper()).astimezone(UTC)  # RFC 3339 allows t and z too
    except (ValueError, OverflowError):
        raise wrong from None


def _event(line: str) -> Event | None:
    try:
        fields = json.loads(line)
        time = datetime.fromisoformat(fields["time"])
        named = isinstance(fields["event"], str) and time.year in _YEARS
    except (ValueError, TypeError, LookupError, RecursionError):  # RecursionError: JSON nested too deeply
        return None
    return Event(line, time if time.tzinfo else time.replace(tzinfo=UTC), fields) if named else None


def _foreign(entry: JournalLine) -> Event:
    """Turn a line of another program into an event."""
    level = _OF_PRIORITY.get(entry.priority, "error")
    time = entry.time.isoformat().replace("+00:00", "Z")
    fields = {"time": time, "level": level, "event": "journal", "program": entry.program, "message": entry.message}
    return Event(json.dumps(fields, ensure_ascii=False), entry.time, fields)


def _rank(level: str | None) -> int:
    # A level that this version does not know counts as info.
    return LEVELS.index(level) if level in LEVELS else 1
