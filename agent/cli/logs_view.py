"""Formats events of the log for people."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from agent.cli.logs_choice import Event
from agent.cli.terminal import BOLD, DIM, RED, YELLOW, Terminal, text

_LEVEL: Final = 7
_COLOURS: Final = {"error": RED, "warning": YELLOW, "debug": DIM}
_INDENT: Final = " " * 17
_LONGEST: Final = 2000
_SHOWN_ELSEWHERE: Final = frozenset(
    {"time", "level", "event", "environment", "registry", "subject", "hint", "exception"}
)
_MESSAGE_FIELDS: Final = ("message", "fault", "reason", "summary")
"""The fields that describe what happened. An event has one of them, or none."""
_TIMES: Final = frozenset({"expires_at", "renew_at", "not_before"})


@dataclass(slots=True)
class LogView:
    """Formats events for a terminal, with a line for the date wherever it changes.

    Without a terminal, each event is one line of any length that begins with its date, for `grep` and files.
    """

    terminal: Terminal | None = None
    _day: date | None = None

    def lines(self, event: Event) -> Iterator[str]:
        local = event.time.astimezone()
        level = _text(event.fields.get("level"))
        words = "  ".join([_text(event.fields.get("event")), *_parts(event)])
        hint = f"→ {_text(event.fields['hint'])}" if event.get("hint") else ""
        if self.terminal is None:
            yield f"{local:%Y-%m-%d %H:%M:%S} {level.ljust(_LEVEL)} {words}{f'  {hint}' if hint else ''}"
        else:
            if local.date() != self._day:
                self._day = local.date()
                yield self.terminal.painted(f"{local:%A, %Y-%m-%d}", BOLD)
            begin = f"{local:%H:%M:%S} {level.ljust(_LEVEL)} "
            first, *more = self.terminal.wrapped(words, _INDENT, first=begin)
            # Painted after wrapping, because the codes of colours take no room.
            yield first.replace(level, self.terminal.painted(level, _COLOURS.get(level)), 1)
            yield from more
            yield from self.terminal.wrapped(hint, _INDENT) if hint else ()
        # A traceback is only readable with its own lines.
        for line in str(event.fields.get("exception") or "").splitlines():
            yield _INDENT + _text(line)


def _parts(event: Event) -> Iterator[str]:
    """Yield the subject and what happened, then each other field."""
    subject = event.fields.get("registry") or event.fields.get("subject")
    message = next((name for name in _MESSAGE_FIELDS if event.fields.get(name)), None)
    words = [_text(event.fields[message])] if message else []
    if subject and not (words and _text(subject) in words[0]):
        words.insert(0, _text(subject))
    if words:
        yield ": ".join(words)
    for name, value in event.fields.items():
        if name not in _SHOWN_ELSEWHERE and name != message:
            yield from _field(name, value)


def _field(name: str, value: Any) -> Iterator[str]:
    """Yield `name=value`, or nothing if the value is empty. A field inside an object becomes `object.name=value`."""
    if isinstance(value, dict):
        for inner, item in value.items():
            yield from _field(f"{name}.{inner}", item)
    elif value not in (None, "", []):
        yield f"{_text(name)}={_value(name, value)}"


def _value(name: str, value: Any) -> str:
    if name in _TIMES and isinstance(value, str):
        try:
            return f"{datetime.fromisoformat(value).astimezone():%Y-%m-%dT%H:%M:%S}"
        except ValueError:
            return _text(value)
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return _text(str(value).lower() if isinstance(value, bool) else value)


def _text(value: object) -> str:
    return text(str(value), _LONGEST)
