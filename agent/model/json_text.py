"""Reads and writes JSON without loss: numbers keep their digits, keys their order, strings every code point."""

import json
from dataclasses import dataclass
from typing import Any


class JsonError(ValueError):
    """The text is not JSON. The message shows where, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written. A float would lose digits, and Python limits the length of an int."""

    text: str


def parse_json(data: bytes) -> Any:
    """Parse `data`; each number becomes a `Number`.

    Raises:
        JsonError: not UTF-8, not JSON, NaN or Infinity, extra text after the value, or nested too deeply.
    """
    # `from None` drops the causes, because they hold the whole text and the passwords in it.
    try:
        return json.loads(
            data.decode(),
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse,
            object_pairs_hook=_merge_duplicates,
        )
    except UnicodeDecodeError as error:
        raise JsonError(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg.lower()} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None


def format_json(value: Any) -> bytes:
    """Format `value` as Docker formats its files: indented with tabs, without a line end at the end.

    Raises:
        JsonError: the value is nested too deeply.
    """
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


def _merge_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Handle duplicate keys as Docker's decoder does: objects are merged, for other values the last one counts."""
    merged: dict[str, Any] = {}
    for key, value in pairs:
        former = merged.get(key)
        if isinstance(former, dict) and isinstance(value, dict):
            former.update(value)  # in place: copying it each time would take quadratic time
        else:
            merged[key] = value
    return merged


def _refuse(constant: str) -> Any:
    raise JsonError(f"{constant} is not a JSON number")
