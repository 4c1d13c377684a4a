"""Reads and writes JSON without loss: numbers keep their digits, keys their order, strings every code point."""

import json
from dataclasses import dataclass
from typing import Any, Final

_SPACE: Final = " \t\r\n"


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
    text = data.decode("utf-8", "surrogateescape").lstrip(_SPACE)
    if text.startswith("\ufeff"):
        raise JsonError("it starts with a byte order mark; save it as UTF-8 without one")
    decoder = json.JSONDecoder(
        parse_int=Number, parse_float=Number, parse_constant=_refuse, object_pairs_hook=JsonObject
    )
    # `from None` drops the causes, because they hold the whole text and the passwords in it.
    try:
        value, end = decoder.raw_decode(text) if text else (None, 0)
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg.lower()} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    if alone and text[end:].strip(_SPACE):
        raise JsonError("it holds more than one value")
    return value


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
