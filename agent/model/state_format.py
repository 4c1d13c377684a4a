"""The format of a state file. It keeps the field names of version 1.0.0, so that both versions can read it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from agent.model.outside_values import from_rfc3339
from agent.model.problem import RetryClass
from agent.model.registry import parse_hostname
from agent.model.stored_state import Rejection, StoredLogin

_VERSION: Final = 1
# Python reads deeper documents than it can write again.
_DEEPEST: Final = 50
_LONGEST_WAIT_S: Final = 365 * 24 * 3600
# A section of its own: version 1.0.0 gives up on a rejection with a field that it does not know.
_WAITS: Final = "waits"
_REJECTION_TEXTS: Final = ("fingerprint", "code", "message", "hint", "not_before")
_BROKEN: Final = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_Value = TypeVar("_Value")
_Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SavedState:
    """The state for one Docker configuration.

    `preexisting` holds digests of the logins that were in Docker's configuration at the agent's first start, by
    Docker's key, or by "HELPER KEY" for a credential helper. None means that the agent has not looked yet.

    `former` is the document as it was read. The fields of a newer version are in it, and are written again.
    `damaged` names the parts of the file that could not be read.
    """

    key: str
    docker_config: str
    entries: Mapping[str, StoredLogin] = field(default_factory=dict)
    rejections: Mapping[str, Rejection] = field(default_factory=dict)
    preexisting: Mapping[str, str] | None = None
    former: _Fields = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


def parse_state(data: bytes) -> SavedState | None:
    """Read a state file. None if nothing in it can be used. A damaged part costs only itself."""
    try:
        document = json.loads(data)
        _check_depth(document)
        _check_texts(document["key"])
        # The path may contain bytes that are not UTF-8, which Python keeps as lone surrogates.
        document["docker_config"].encode(errors="surrogateescape")
    except _BROKEN:
        return None
    damaged: list[str] = []
    return SavedState(
        key=document["key"],
        docker_config=document["docker_config"],
        entries=_table(document, "entries", _stored_login, damaged),
        rejections=_with_waits(_table(document, "rejections", _rejection, damaged), document.get(_WAITS)),
        preexisting=_preexisting(document, damaged),
        former=document,
        damaged=tuple(damaged),
    )


def format_state(state: SavedState) -> bytes:
    entries = {
        hostname: {
            **_row(state.former, "entries", hostname),
            "docker_key": login.docker_key,
            "digests": login.digests,
            "expires_at": login.expires_at and login.expires_at.isoformat(),
            "ends": {digest: end and end.isoformat() for digest, end in login.ends.items()},
            "source": login.source,
        }
        for hostname, login in state.entries.items()
    }
    rejections = {
        hostname: {
            # Add no field here: version 1.0.0 gives up on a rejection with a field that it does not know.
            **_row(state.former, "rejections", hostname),
            "fingerprint": rejection.fingerprint,
            "code": rejection.code,
            "message": rejection.message,
            "hint": rejection.hint,
            "not_before": rejection.not_before.isoformat(),
            "pace": rejection.retry_class,
        }
        for hostname, rejection in state.rejections.items()
    }
    document = {
        **state.former,
        "version": _VERSION,
        "key": state.key,
        "docker_config": state.docker_config,
        "entries": entries,
        "brought": state.preexisting,
        "rejections": rejections,
        _WAITS: {name: each.wait.total_seconds() for name, each in state.rejections.items() if each.wait is not None},
    }
    return json.dumps(document).encode()


def _table(
    document: _Fields, section: str, parse: Callable[[str, Any], _Value], damaged: list[str]
) -> dict[str, _Value]:
    table = document.get(section)
    if not isinstance(table, dict):
        damaged.append(section)
        return {}
    good: dict[str, _Value] = {}
    for hostname, fields in table.items():
        try:
            good[hostname] = parse(hostname, fields)
        except _BROKEN:
            damaged.append(f"{section}/{hostname}")
    return good


def _preexisting(document: _Fields, damaged: list[str]) -> Mapping[str, str] | None:
    # Not None if it is damaged: that would be a first start, at which logins may be replaced.
    is_first_start = "brought" in document and document["brought"] is None
    return None if is_first_start else _table(document, "brought", _digest, damaged)


def _digest(_name: str, digest: Any) -> str:
    _check_texts(digest)
    return str(digest)


def _stored_login(hostname: str, fields: _Fields) -> StoredLogin:
    if parse_hostname(hostname).hostname != hostname or not isinstance(fields["digests"], list):
        raise ValueError("not a login")
    expires_at = fields["expires_at"]
    source = fields.get("source")
    _check_texts(fields["docker_key"], *fields["digests"], source or "")
    return StoredLogin(
        docker_key=fields["docker_key"],
        digests=tuple(fields["digests"]),
        expires_at=None if expires_at is None else _moment(expires_at),
        ends=_ends(fields),
        source=source,
    )


def _ends(fields: _Fields) -> Mapping[str, datetime | None]:
    """Read when each login ends. Without that, the logins are still good."""
    try:
        return {digest: None if end is None else _moment(end) for digest, end in fields["ends"].items()}
    except _BROKEN:
        return {}


def _rejection(_hostname: str, fields: _Fields) -> Rejection:
    fingerprint, code, message, hint, not_before = (fields[name] for name in _REJECTION_TEXTS)
    _check_texts(fingerprint, code, message, hint, not_before)
    # A newer version may have a class that this one does not know.
    retry_class = next((each for each in RetryClass if each == fields.get("pace")), RetryClass.REJECTED)
    return Rejection(fingerprint, code, message, hint, _moment(not_before), retry_class)


def _with_waits(rejections: Mapping[str, Rejection], waits: object) -> Mapping[str, Rejection]:
    """Add how long each wait was. Without that, the rejections are still good."""
    known = waits if isinstance(waits, dict) else {}
    return {
        hostname: replace(rejection, wait=timedelta(seconds=known[hostname]))
        if isinstance(known.get(hostname), int | float) and 0 < known[hostname] <= _LONGEST_WAIT_S
        else rejection
        for hostname, rejection in rejections.items()
    }


def _row(document: _Fields, section: str, hostname: str) -> _Fields:
    table = document.get(section)
    row = table.get(hostname) if isinstance(table, dict) else None
    return row if isinstance(row, dict) else {}


def _moment(text: str) -> datetime:
    moment = from_rfc3339(text)
    if moment is None:
        raise ValueError("not a time with a time zone")
    return moment


def _check_texts(*values: object) -> None:
    """Reject values that are not text or not valid Unicode. Otherwise they would fail later, when they are used."""
    for value in values:
        if not isinstance(value, str):
            raise TypeError("a value that is not text")
        value.encode()  # raises for lone surrogates


def _check_depth(value: object, left: int = _DEEPEST) -> None:
    """Reject a document that is nested so deeply that writing it again could fail."""
    if not left:
        raise ValueError("nested too deeply")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(child, left - 1)
