"""Reads and writes JSON without loss: numbers keep their digits, keys their order, strings every code point."""

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any, Final

_SPACE: Final = " \t\r\n"
_LINE_END: Final = "\n"
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_COMMENTS: Final = ("//", "/*", "#")
_QUOTES: Final = ("'", "`", "“", "”", "„")
_CONFLICT: Final = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)


class JsonError(ValueError):
    """The text is not the expected JSON. The message shows where, and quotes no value."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written. A float would lose digits, and Python limits the length of an int."""

    text: str


class JsonObject(dict[str, Any]):
    """An object without duplicate keys: objects are merged, for other values the last one counts.

    `members` also has the duplicates, in order.
    """

    __slots__ = ("members",)

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.members: Final = members
        for key, value in members:
            former = self.get(key)
            if isinstance(former, dict) and isinstance(value, dict):
                former.update(value)  # in place: copying it each time would take quadratic time
            else:
                self[key] = value


def parse_json(data: bytes, *, alone: bool = False) -> Any:
    """Parse the first JSON value in `data`. Objects become a `JsonObject`, numbers a `Number`, no value becomes None.

    Like Go's decoder, it ignores what follows the value unless it must be `alone`, and accepts bytes in a string that
    are not UTF-8. Anything else is a `JsonError`.
    """
    # A byte that is not UTF-8 becomes a lone surrogate, which `format_json` writes as an escape.
    text = data.decode("utf-8", "surrogateescape")
    start = len(text) - len(text.lstrip(_SPACE))
    if text.startswith("\ufeff", start):
        raise JsonError("it starts with a byte order mark; save it as UTF-8 without one")
    decoder = json.JSONDecoder(
        parse_int=Number, parse_float=Number, parse_constant=_refuse, object_pairs_hook=JsonObject
    )
    # `from None` drops the causes, because they hold the whole text and the passwords in it.
    try:
        value, end = decoder.raw_decode(text, start) if text[start:] else (None, start)
    except json.JSONDecodeError as error:
        fault = _encoding_fault(data) or _conflict(text) or _fault_at(text, error)
        raise JsonError(fault or f"{error.msg.lower()} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    if alone and text[end:].strip(_SPACE):
        raise JsonError("it holds more than one value")
    return value


def _encoding_fault(data: bytes) -> str | None:
    """Return what `data` is if it is no text in UTF-8."""
    if data.startswith(_UTF_16) or (len(data) > 1 and data[:2].count(0) == 1):
        return "it is text in UTF-16; save it as UTF-8"
    return "it begins with NUL bytes, as after a power failure" if data.startswith(b"\0") else None


def _conflict(text: str) -> str | None:
    found = _CONFLICT.search(text)
    line = text.count(_LINE_END, 0, found.start()) + 1 if found else 0
    return f"it holds the markers of a merge conflict at line {line}" if found else None


def _fault_at(text: str, error: json.JSONDecodeError) -> str | None:
    """Return what people write that is not JSON, at the place where the parser stopped."""
    before, after = text[: error.pos].rstrip(_SPACE), text[error.pos :].lstrip(_SPACE)
    if after.startswith(_COMMENTS):
        return f"it holds a comment at line {error.lineno}, and JSON has none"
    if after.startswith(_QUOTES):
        return f"it has quotes at line {error.lineno} that JSON does not know; use straight double quotes"
    if not before:
        return "it is not JSON"
    if not after:
        return f"it ends too early, at line {error.lineno} column {error.colno}"
    if after.startswith(",") or (before.endswith(",") and after.startswith(("}", "]"))):
        return f"it has a comma too many at line {text.count(_LINE_END, 0, len(before)) + 1}"
    return None


def format_json(value: Any) -> bytes:
    """Format `value` as Docker formats its files: indented with tabs, without a line end at the end."""
    try:
        # Only lone surrogates cannot be encoded. `backslashreplace` writes them as \\udc80, which is valid JSON.
        return _format(value, "\n").encode("utf-8", "backslashreplace")
    except RecursionError:
        raise JsonError("it is nested too deeply") from None


def _format(value: Any, line: str) -> str:
    if isinstance(value, Number):
        return value.text
    inner = line + "\t"
    if isinstance(value, dict) and value:
        members = (f"{inner}{_format(key, inner)}: {_format(member, inner)}" for key, member in value.items())
        return "{" + ",".join(members) + line + "}"
    if isinstance(value, list) and value:
        return "[" + ",".join(inner + _format(member, inner) for member in value) + line + "]"
    return json.dumps(value, ensure_ascii=False)


def _refuse(constant: str) -> Any:
    raise JsonError(f"{constant} is not a JSON number")
