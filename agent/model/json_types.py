"""Checks JSON against the types that a Go program expects, by the rules of Go's encoding/json.

Everything that the program does not know stays in the result.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from agent.model.json_text import JsonError, JsonObject, Number
from agent.model.text import printable

# Takes a value, the result for an earlier duplicate or None, and the place where the value is. Returns the value
# without duplicate keys, or raises a JsonError that names the place. For every type, Go reads null as no value.
Check = Callable[[Any, Any, str], Any]
_NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "a boolean",
    Number: "a number",
    list: "an array",
    JsonObject: "an object",
}
_SHOWN: Final = 120


def string(value: Any, former: Any, where: str) -> Any:
    if value is None:
        return former  # Go leaves a string as it is
    if not isinstance(value, str):
        raise _mismatch(where, value, "a string")
    return value


def list_of(element: Check) -> Check:
    def check(value: Any, _former: Any, where: str) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            raise _mismatch(where, value, "an array")
        return [element(each, None, f"{where}[{number}]") for number, each in enumerate(value)]

    return check


def map_of(element: Check) -> Check:
    """Check an object with any keys, whose values have one type. Duplicates are merged, but not their values."""

    def check(value: Any, former: Any, where: str) -> Any:
        if value is None:
            return None
        # In place: copying it for each duplicate would take quadratic time.
        result = {} if former is None else former
        for key, each in _members(value, where):
            result[key] = element(each, None, _join(where, key))
        return result

    return check


class Struct:
    """An object with known fields, whose names match in any case. `closed`: no other fields are allowed."""

    def __init__(self, fields: Mapping[str, Check], *, closed: bool = False) -> None:
        self._names: Final = {fold(name): name for name in fields}
        self._types: Final = {fold(name): kind for name, kind in fields.items()}
        self._closed: Final = closed

    def __call__(self, value: Any, _former: Any, where: str) -> Any:
        if value is None:
            return None
        members, result = _members(value, where), dict[str, Any]()
        spellings = self._spellings(value)
        for name, member in members:
            folded = fold(name)
            if folded in spellings:
                spelling = spellings[folded]
                result[spelling] = self._types[folded](member, result.get(spelling), _join(where, name))
            elif self._closed:
                raise JsonError(f"docker does not know {printable(_join(where, name), _SHOWN)}")
            else:
                result[name] = value[name]
        return result

    def _spellings(self, value: Mapping[str, Any]) -> dict[str, str]:
        """Return under which spelling each known field stays: the exact one if it is there, else the first one."""
        spellings: dict[str, str] = {}
        for name in value:
            folded = fold(name)
            if folded in self._types and (folded not in spellings or name == self._names[folded]):
                spellings[folded] = name
        return spellings


def fold(name: str) -> str:
    """Return the same text for all spellings of a name that Go does not distinguish."""
    # Go also matches the long s. `casefold` would go too far: it turns one letter into two.
    return name.lower().replace("\u017f", "s")


def _members(value: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(value, JsonObject):
        raise _mismatch(where, value, "an object")
    return value.members


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _mismatch(where: str, value: Any, expected: str) -> JsonError:
    place = printable(where, _SHOWN) or "it"
    return JsonError(f"{place} is {_NAMES[type(value)]}, but docker expects {expected}")
