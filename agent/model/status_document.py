"""What the commands rely on in a status document. It may come from another version of the agent, or another program."""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Final

_LONGEST_S: Final = 1e11
"""A duration of more than three thousand years, which Python can still compute with."""

Kind = Callable[[object, str], None]
"""Checks a value. Raises a TypeError with its place in the document if it is of another kind."""


def check_status(document: object) -> None:
    """Check a status document. Fields that this version does not know are allowed.

    Raises:
        TypeError: a field is missing or has the wrong type. The text is its place in the document.
    """
    _STATUS(document, "the document")


def check_renewal(answer: object) -> None:
    """Check the answer to a renewal in the same way."""
    _RENEWAL(answer, "the document")


def _of(*types: type) -> Kind:
    def check(value: object, where: str) -> None:
        # In Python, a bool is an int too.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError(where)

    return check


def _seconds(value: object, where: str) -> None:
    # JSON in Python may contain NaN and infinite numbers. The comparison refuses both.
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < _LONGEST_S:
        raise TypeError(where)


def _list_of(kind: Kind) -> Kind:
    def check(value: object, where: str) -> None:
        if not isinstance(value, list):
            raise TypeError(where)
        for number, item in enumerate(value):
            kind(item, f"{where}[{number}]")

    return check


def _object(needed: Mapping[str, Kind], **newer: Kind) -> Kind:
    """Return the check of an object. `newer` are fields that the first versions did not have."""

    def check(value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise TypeError(where)
        for name, kind in {**needed, **newer}.items():
            if name in value or name in needed:
                kind(value.get(name), name if where == "the document" else f"{where}.{name}")

    return check


_TEXT: Final = _of(str)
_TEXT_OR_NULL: Final = _of(str, NoneType)
_TOOL: Final = {"present": _of(bool), "version": _TEXT_OR_NULL}
_ROW: Final = {
    **dict.fromkeys(("hostname", "state"), _TEXT),
    **dict.fromkeys(("last_error", "expires_at", "renew_at", "next_attempt_at", "attempt_id"), _TEXT_OR_NULL),
}
_WARNING: Final = {
    **dict.fromkeys(("code", "severity", "subject", "message", "hint", "needs", "first_seen"), _TEXT),
    "count": _of(int),
}
_STATUS: Final = _object(
    {
        **dict.fromkeys(("version", "now", "started_at", "phase", "condition", "summary"), _TEXT),
        "revision": _of(int),
        "uptime_s": _seconds,
        "environment": _object(dict.fromkeys(("id", "user"), _TEXT)),
        "tools": _object({"docker": _object({**_TOOL, "engine": _TEXT}, flavor=_TEXT)}, podman=_object(_TOOL)),
        "registries": _list_of(_object(_ROW, attempting=_of(bool))),
        "warnings": _list_of(_object(_WARNING)),
        "clock": _object({"jumps": _of(int), "last_jump_at": _TEXT_OR_NULL}),
    }
)
_RENEWAL: Final = _object({"attempt_ids": _list_of(_TEXT)})
