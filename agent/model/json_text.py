"""JSON that comes out as it went in: numbers keep their digits, keys their order, texts every code point."""

import json
from dataclasses import dataclass
from typing import Any


class JsonError(ValueError):
    """The text is not JSON; says where, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written: a float would lose digits, an int is limited in length."""

    text: str


def parse_json(data: bytes) -> Any:
    """The value that `data` holds, with each number as a `Number`.

    Raises:
        JsonError: not UTF-8, not JSON, NaN or Infinity, something after the value, or nested too deeply.
    """
    # `from None`: the causes carry the whole text, and with it the passwords in it.
    try:
        return json.loads(
            data.decode(),
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse,
            object_pairs_hook=_merged,
        )
    except UnicodeDecodeError as error:
        raise JsonError(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg.lower()} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None


def format_json(value: Any) -> bytes:
    """`value` as Docker writes its files: indented with tabs, no line end at the end.

    Raises:
        JsonError: nested too deeply.
    """
    try:
        # Only lone surrogates cannot be encoded, and their backslash form is JSON's own.
        return _written(value, "\n").encode("utf-8", "backslashreplace")
    except RecursionError:
        raise JsonError("it is nested too deeply") from None


def _written(value: Any, line: str) -> str:
    if isinstance(value, Number):
        return value.text
    inner = line + "\t"
    if isinstance(value, dict) and value:
        members = (f"{inner}{_written(key, inner)}: {_written(member, inner)}" for key, member in value.items())
        return "{" + ",".join(members) + line + "}"
    if isinstance(value, list) and value:
        return "[" + ",".join(inner + _written(member, inner) for member in value) + line + "]"
    return json.dumps(value, ensure_ascii=False)


def _merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that stands twice: the last one counts, and two objects are one, as Docker's decoder reads its maps."""
    merged: dict[str, Any] = {}
    for key, value in pairs:
        former = merged.get(key)
        if isinstance(former, dict) and isinstance(value, dict):
            former.update(value)  # in place: copying it each time would take quadratic time
        else:
            merged[key] = value
    return merged


def _refuse(constant: str) -> Any:
    raise JsonError(f"{constant} is no JSON number")
