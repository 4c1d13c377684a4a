"""What the credential helper prints, as docker-credential-helpers defines it (credentials/credentials.go, error.go)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from agent.model.docker_config import TOKEN_USER, Entry
from agent.model.text import printable

_NOT_FOUND: Final = "credentials not found in native keychain"
"""Every program recognizes this very text: it continues without a login."""


@dataclass(frozen=True, slots=True)
class HelperReply:
    """The bytes that the helper prints. It exits with 0 for the status OK, else with 1.

    For any status but OK, NOT_FOUND and CONFLICT, it prints them on stderr too. `outcome` is for the log.
    """

    outcome: str
    status: HTTPStatus = HTTPStatus.OK
    body: bytes = b""


def login_reply(server: str, entry: Entry) -> HelperReply:
    answer = {"ServerURL": server, "Username": _user(entry), "Secret": entry.secret.reveal()}
    return HelperReply("served", body=_line(json.dumps(answer)))


def list_reply(users: Mapping[str, Entry]) -> HelperReply:
    return HelperReply("listed", body=_line(json.dumps({server: _user(entry) for server, entry in users.items()})))


def not_found() -> HelperReply:
    return HelperReply("not_found", HTTPStatus.NOT_FOUND, _line(_NOT_FOUND))


def unavailable(reason: str) -> HelperReply:
    """The registry is managed here, but there is no login that works. The reason includes the registry and the fix."""
    return HelperReply("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, _line(printable(reason, 1200)))


def refused(reason: str) -> HelperReply:
    """The request cannot be carried out."""
    return HelperReply("refused", HTTPStatus.CONFLICT, _line(printable(reason, 600)))


def forbidden(user: str) -> HelperReply:
    reason = f"registry-agent gives logins only to user {user} and to root; run docker as user {user}"
    return HelperReply("forbidden", HTTPStatus.FORBIDDEN, _line(reason))


def parse_store(body: str) -> tuple[str, str, str] | None:
    """Return server, user name and secret of a `store` request. None if it is something else."""
    try:
        fields = json.loads(body)
        login = tuple(fields[name] for name in ("ServerURL", "Username", "Secret"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    server, username, secret = login
    return (server, username, secret) if all(isinstance(text, str) for text in login) else None


def is_login(entry: Entry, username: str, secret: str) -> bool:
    """Whether this user name and secret are what `get` gives for the entry."""
    return username == _user(entry) and secret == entry.secret.reveal()


def _user(entry: Entry) -> str:
    return TOKEN_USER if entry.identity_token else entry.username


def _line(text: str) -> bytes:
    return f"{text}\n".encode(errors="replace")
