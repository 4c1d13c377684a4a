"""Reads what a password source gave: a plain password, one JSON object, or a kubelet's CredentialProviderResponse.

Nothing here quotes the output: it is a secret.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from agent.model import jwt
from agent.model.docker_config import TOKEN_USER
from agent.model.document_text import DocumentError, plain_text
from agent.model.ecr_token import token_expiry
from agent.model.kubelet_response import KIND, login_for, parse_duration
from agent.model.outside_values import from_epoch, from_rfc3339, number
from agent.model.registry import Registry
from agent.model.secret_fields import is_google_key
from agent.model.sensitive import Sensitive
from agent.model.text import LONE_SURROGATE

# In bytes. Far more than any real password or token needs.
LONGEST: Final = 64 * 1024
_PASSWORDS: Final = ("password", "Secret", "token", "access_token", "refresh_token", "accessToken")
_USERNAMES: Final = ("username", "Username")
_TIMES: Final = ("expires_at", "expiration", "Expiration", "expirationTimestamp", "expireTime")
_EPOCHS: Final = ("expires_on", "expiration_time")
_LIFE: Final = "expires_in"
_USERNAME: Final = re.compile(r"[^\x00-\x1f\x7f:\ud800-\udfff]{1,1000}")


class OutputError(ValueError):
    """The output is no password. The text begins with a verb, to follow the name of the source."""


@dataclass(frozen=True, slots=True)
class CredentialOutput:
    """What a source gave. `username` and `expires_at` are None if it did not show them."""

    password: Sensitive
    username: str | None = None
    expires_at: datetime | None = None


def parse_output(content: bytes, registry: Registry, now: datetime) -> CredentialOutput:
    """Parse what a source gave for a registry. An ambiguous password is an OutputError, as is none."""
    if len(content) > LONGEST:
        raise OutputError(f"gave more than {LONGEST // 1024} KiB")
    try:
        text = plain_text(content)
    except DocumentError:
        raise OutputError("gave bytes that are not UTF-8 text") from None
    output = _parse(text, registry, now)
    password = output.password.reveal()
    if "\0" in password or LONE_SURROGATE.search(password):
        raise OutputError("gave a password with a NUL character, or with half a Unicode character")
    if not password.strip():
        raise OutputError("gave an empty password")
    if output.expires_at is not None:
        return output
    return replace(output, expires_at=_own_end(output.password))


def _parse(text: str, registry: Registry, now: datetime) -> CredentialOutput:
    if not text.lstrip().startswith("{"):
        return CredentialOutput(Sensitive(text.removesuffix("\n").removesuffix("\r")))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise OutputError("gave something that begins like JSON, but is not valid JSON") from None
    # With the user name _json_key, the password is a key in JSON.
    if is_google_key(value):
        return CredentialOutput(Sensitive(text.strip()))
    if value.get("kind") == KIND:
        return _of_kubelet(value, registry, now)
    return CredentialOutput(_password(value), _username(value), _end(value, now))


def _of_kubelet(value: Mapping[str, Any], registry: Registry, now: datetime) -> CredentialOutput:
    login = login_for(value, registry)
    if login is None:
        raise OutputError(f"gave a {KIND} without a login for {registry}")
    password, life = _password(login), parse_duration(value.get("cacheDuration"))
    # kubelet may keep the login for so long. The password often lives longer: Amazon's twice as long.
    keep = _after(now, life.total_seconds()) if life else None
    return CredentialOutput(password, _username(login), _own_end(password) or keep)


def _own_end(password: Sensitive) -> datetime | None:
    """Return the end that a token contains."""
    return jwt.expiry(password.reveal().strip()) or token_expiry(password)


def _password(value: Mapping[str, Any]) -> Sensitive:
    found = {key: value[key] for key in _PASSWORDS if value.get(key) not in (None, "")}
    wrong = [key for key, password in found.items() if not isinstance(password, str)]
    if wrong:
        raise OutputError(f"gave JSON in which {wrong[0]} is not a string")
    # The same password under two names is no contradiction.
    if len({*found.values()}) > 1:
        raise OutputError(f"gave JSON with more than one password: {', '.join(found)}; select one of them")
    if not found:
        raise OutputError(f"gave JSON without a password (one of the keys {', '.join(_PASSWORDS)})")
    return Sensitive(next(iter(found.values())))


def _username(value: Mapping[str, Any]) -> str | None:
    name = next((value[key] for key in _USERNAMES if value.get(key)), None)
    # The secret names the user of an identity token.
    if name is None or name == TOKEN_USER:
        return None
    if not isinstance(name, str) or not _USERNAME.fullmatch(name):
        raise OutputError("gave a user name that no registry accepts")
    return name


def _end(value: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return the end that the JSON shows in the first of the known keys."""
    for key in (*_TIMES, *_EPOCHS, _LIFE):
        given = value.get(key)
        if given in (None, ""):
            continue
        if key in _TIMES:
            end, meaning = from_rfc3339(given), "time in RFC 3339"
        elif key in _EPOCHS:
            end, meaning = from_epoch(given), "time in epoch seconds"
        else:
            end, meaning = _after(now, number(given)), "number of seconds"
        if end is None:
            raise OutputError(f"gave JSON in which {key} is not a {meaning}")
        return end
    return None


def _after(now: datetime, seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else now + timedelta(seconds=seconds)
    except OverflowError:
        return None
