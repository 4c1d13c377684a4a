"""What the credential helper prints, as docker-credential-helpers defines it (credentials/credentials.go, error.go)."""

import json
from collections.abc import Mapping

from agent.model.docker_config import TOKEN_USER, Entry
from agent.model.helper_reply import HelperReply, line


def login_reply(server: str, entry: Entry) -> HelperReply:
    answer = {"ServerURL": server, "Username": _user(entry), "Secret": entry.secret.reveal()}
    return HelperReply("served", body=line(json.dumps(answer)))


def list_reply(users: Mapping[str, Entry]) -> HelperReply:
    return HelperReply("listed", body=line(json.dumps({server: _user(entry) for server, entry in users.items()})))


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
