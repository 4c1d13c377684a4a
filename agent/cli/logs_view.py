"""Formats events of the log for people."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from textwrap import wrap
from typing import Any, Final

from agent.cli.logs_choice import Event
from agent.model.text import printable

_LEVEL: Final = 7
_COLOURS: Final = {"error": 31, "warning": 33, "debug": 2}
_INDENT: Final = " " * 17
_NARROWEST: Final = 60
_LONGEST: Final = 2000
_SHOWN_ELSEWHERE: Final = frozenset(
    {"time", "level", "event", "environment", "registry", "subject", "hint", "exception"}
)
_MESSAGE_FIELDS: Final = ("message", "fault", "reason", "summary")
"""The fields that describe what happened. An event has one of them, or none."""
_TIMES: Final = frozenset({"expires_at", "renew_at", "not_before"})


@dataclass(slots=True)
class LogView:
    """Formats events for a terminal of `width` columns, with a line for the date wherever it changes.

    If `width` is None, each event is one line of any length that begins with its date, for `grep` and files.
    """

    width: int | None = None
    colours: bool = False
    _day: date | None = None

    def lines(self, event: Event) -> Iterator[str]:
        local = event.time.astimezone()
        if self.width is not None and local.date() != self._day:
            self._day = local.date()
            yield self._painted(f"{local:%A, %Y-%m-%d}", 1)
        level = _text(event.fields.get("level"))
        stamp = f"{local:%H:%M:%S}" if self.width is not None else f"{local:%Y-%m-%d %H:%M:%S}"
        begin = f"{stamp} {level.ljust(_LEVEL)} "
        words = "  ".join([_text(event.fields.get("event")), *_parts(event)])
        hint = event.get("hint")
        if hint and self.width is None:
            words += f"  → {_text(hint)}"
        first, *more = self._wrapped(words, len(begin))
        yield begin.replace(level, self._painted(level, _COLOURS.get(level)), 1) + first
        yield from (_INDENT + line for line in more)
        if hint and self.width is not None:
            yield from (_INDENT + line for line in self._wrapped(f"→ {_text(hint)}", len(_INDENT)))
        for line in str(event.fields.get("exception") or "").splitlines():
            yield _INDENT + printable(line, _LONGEST)

    def _wrapped(self, words: str, before: int) -> list[str]:
        if self.width is None:
            return [words.rstrip()]
        room = max(self.width, _NARROWEST) - before
        return wrap(words, room, break_long_words=False, break_on_hyphens=False) or [""]

    def _painted(self, words: str, code: int | None) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if self.colours and code else words


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
    return printable(str(value), _LONGEST)
