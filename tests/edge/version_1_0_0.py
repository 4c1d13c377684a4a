"""How version 1.0.0 reads its state file. A copy of the released code, so that tests can play a downgrade."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.model.problem import RetryClass
from agent.model.registry import parse_hostname
from agent.model.stored_state import Rejection, StoredLogin


def read(directory: Path, docker_config: Path) -> tuple[dict[str, StoredLogin], dict[str, Rejection], Any]:
    """Return the logins, the rejections, and the logins that came with the image. Raises an error for any fault."""
    state = json.loads((directory / "state.json").read_bytes())
    key, version = state["key"], state["version"]
    rejections = {hostname: _rejection(fields) for hostname, fields in state["rejections"].items()}
    entries = {hostname: _stored_login(fields) for hostname, fields in state["entries"].items()}
    preexisting = state["brought"]
    if version != 1 or not isinstance(preexisting, dict | None):
        raise TypeError("the state of another version")
    _check_texts(key, *(preexisting or {}).values())
    if any(parse_hostname(hostname).hostname != hostname for hostname in entries):
        raise ValueError("not a host name")
    if state["docker_config"] != str(docker_config):
        return {}, rejections, None
    return entries, rejections, preexisting


def _stored_login(fields: dict[str, Any]) -> StoredLogin:
    expires_at = fields["expires_at"]
    _check_texts(fields["docker_key"], *fields["digests"])
    return StoredLogin(
        docker_key=fields["docker_key"],
        digests=tuple(fields["digests"]),
        expires_at=None if expires_at is None else _moment(expires_at),
    )


def _rejection(fields: dict[str, Any]) -> Rejection:
    _check_texts(*fields.values())
    known = {name: field for name, field in fields.items() if name != "pace"}
    retry_class = RetryClass(fields.get("pace", RetryClass.REJECTED))
    return Rejection(**{**known, "not_before": _moment(fields["not_before"]), "retry_class": retry_class})


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone")
    return moment.astimezone(UTC)


def _check_texts(*values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError("a value that is not text")
        value.encode()
