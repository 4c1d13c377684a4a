"""Docker's config.json: finds the login that Docker would use, and adds or removes one login.

The rules are those of docker/cli (cli/config: configfile/file.go, credentials/file_store.go and native_store.go).
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.model.docker_config_fields import (
    AUTH_VARIABLE,
    HELPER_ANSWER,
    UNKNOWN,
    CliVersion,
    allows_empty_user,
    config_type,
)
from agent.model.json_text import JsonError, format_json, parse_json
from agent.model.json_types import Check, fold
from agent.model.registry import Registry, registry_named
from agent.model.sensitive import Sensitive
from agent.model.text import LONE_SURROGATE, printable

# A parsed and checked config.json.
Document = dict[str, Any]
# The user name under which a credential helper keeps an identity token.
TOKEN_USER: Final = "<token>"  # noqa: S105 - Docker's marker for "no user name", not a password
_CREDENTIAL_FIELDS: Final = frozenset(
    {"auth", "username", "password", "identitytoken", "registrytoken", "serveraddress"}
)
_URL: Final = re.compile(r"[A-Za-z][\w+.-]*://(?:[\w.~!$&'()*+,;=:%-]*@)?([^/?#@]+?):?(?:[/?#].*)?", re.ASCII)
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
# Docker cannot use the file. The message gives the reason and contains no value from the file.
ConfigError = JsonError
format_config = format_json


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored login. `secret` is a password or, with `identity_token`, a token that replaces the password."""

    username: str
    secret: Sensitive
    identity_token: bool = False

    def same_login(self, other: "Entry | None") -> bool:
        """Whether both are the same login to a registry. Helpers store no user name with an identity token."""
        if other is None or self.identity_token is not other.identity_token or self.secret != other.secret:
            return False
        return self.identity_token or self.username == other.username


# Takes a key and the entry stored under it, and returns whether the agent may replace the entry.
Ownership = Callable[[str, Entry], bool]


def parse_config(data: bytes, cli: CliVersion = UNKNOWN) -> Document:
    """Parse `data` as this version of the docker CLI does, or raise a ConfigError. An empty file is empty JSON."""
    document = _parse(data, config_type(cli))
    for key, fields in _auths(document).items():
        auth = field(fields or {}, "auth")
        if auth and not _decode_auth(auth, key)[0] and not allows_empty_user(cli):
            raise _not_a_login(key)
    return document


def parse_auth_variable(text: str | None) -> dict[str, Entry]:
    """Return the logins in the value of DOCKER_AUTH_CONFIG, by key. Docker ignores a value that it cannot parse."""
    data = (text or "").encode("utf-8", "surrogateescape")
    try:
        auths = _auths(_parse(data, AUTH_VARIABLE, alone=True))
        logins = {key: decode_entry(fields, key) for key, fields in auths.items()}
    except ConfigError:
        return {}
    found = {key: entry for key, entry in logins.items() if entry is not None and entry.username}
    return found if len(found) == len(auths) else {}


def parse_helper_answer(data: bytes) -> Entry | None:
    """Return the login that a credential helper printed, or None if both its texts are empty."""
    if not data.strip():
        raise ConfigError("it is empty")
    answer = _parse(data, HELPER_ANSWER)
    username, secret = (_text(field(answer, name)) for name in ("Username", "Secret"))
    if not username and not secret:
        return None
    return Entry(username, Sensitive(secret), identity_token=username == TOKEN_USER)


def helpers_by_key(document: Document) -> dict[str, Any]:
    return field(document, "credHelpers") or {}


def store_of(document: Document, key: str) -> str | None:
    """Return the credential helper that stores the login of `key`, or None if the file itself does."""
    helpers = helpers_by_key(document)
    name = helpers[key] if key in helpers else field(document, "credsStore")
    # docker/cli treats an empty helper name as the file.
    return name or None


def has_own_helper(document: Document, key: str) -> bool:
    return bool(helpers_by_key(document).get(key))


def named_helpers(document: Document) -> dict[str, list[str]]:
    """Return each credential helper in the configuration, with the keys in the file that it stores logins for."""
    by_key = helpers_by_key(document)
    names = (field(document, "credsStore"), *by_key.values())
    helpers: dict[str, list[str]] = {name: [] for name in names if name}
    for key in {**by_key, **_auths(document)}:
        name = store_of(document, key)
        if name is not None:
            helpers[name].append(key)
    return helpers


def is_docker_key(key: str) -> bool:
    """Whether Docker would look up a registry's login by this key. A keychain also holds other entries."""
    registry = registry_named(key)
    return registry is not None and registry.docker_key == key


def find(document: Document, key: str) -> tuple[str, Entry] | None:
    """Return the login that Docker finds in the file for `key`, and the key under which it is stored.

    An exact key takes precedence. Otherwise, a key that old versions wrote counts, such as `https://HOST/v2/`.
    """
    auths = _auths(document)
    # As in docker/cli, an exact key ends the search, even if its entry is empty.
    keys = [key] if key in auths else [other for other in auths if _hostname(other) == key]
    for candidate in keys:
        entry = decode_entry(auths[candidate], candidate)
        if entry is not None:
            return candidate, entry
    return None


def entries(document: Document) -> dict[str, Entry]:
    """Return all logins in the file by key, without the markers. A marker only shows that a helper has the login."""
    decoded = {key: decode_entry(fields, key) for key, fields in _auths(document).items()}
    return {key: entry for key, entry in decoded.items() if entry is not None}


def entries_of(document: Document, registry: Registry) -> dict[str, Entry]:
    """Return the logins for a registry in one of podman's files. Their keys may contain a repository after the host."""
    return {key: entry for key, entry in entries(document).items() if registry_named(key) == registry}


def place(document: Document, key: str, entry: Entry, may_replace: Ownership) -> Document:
    """Return the document with `entry` under `key`.

    Returns the same document if the login is already there, or if the entry is not ours to replace.
    """
    found = find(document, key)
    if found is not None and (entry.same_login(found[1]) or not may_replace(*found)):
        return document
    return _with(document, key, encode_entry(entry))


def mark(document: Document, key: str, may_replace: Ownership) -> Document:
    """Return the document with an empty entry. Docker keeps one in the file for each login in a helper."""
    auths = _auths(document)
    entry = decode_entry(auths.get(key), key)
    if (entry is None and key in auths) or (entry is not None and not may_replace(key, entry)):
        return document
    return _with(document, key, {})


def remove(document: Document, key: str, may_remove: Ownership) -> Document:
    """Return the document without the entry of `key`.

    Returns the same document if there is no entry, or if it is not ours to remove.
    """
    auths = _auths(document)
    entry = decode_entry(auths.get(key), key)
    if key not in auths or (entry is not None and not may_remove(key, entry)):
        return document
    return with_field(document, "auths", {other: auths[other] for other in auths if other != key})


def encode_entry(entry: Entry) -> dict[str, str]:
    """Return the value for the entry's key in `auths`."""
    password = "" if entry.identity_token else entry.secret.reveal()
    # A login may contain bytes that are not UTF-8.
    pair = f"{entry.username}:{password}".encode("utf-8", "surrogateescape")
    fields = {"auth": base64.b64encode(pair).decode()}
    return fields | {"identitytoken": entry.secret.reveal()} if entry.identity_token else fields


def decode_entry(fields: Mapping[str, Any] | None, key: str) -> Entry | None:
    """Return the login in the value of a key in `auths`, or None if the value contains no login."""
    texts = {name: _text(field(fields or {}, name)) for name in _CREDENTIAL_FIELDS}
    username, password = texts["username"], texts["password"]
    if texts["auth"]:
        username, password = _decode_auth(texts["auth"], key)
    # As in the engine, a registry token takes precedence.
    token = texts["registrytoken"] or texts["identitytoken"]
    if not (username or password or token):
        return None
    return Entry(username, Sensitive(token or password), identity_token=bool(token))


def field(fields: Mapping[str, Any], name: str) -> Any:
    """Return a field, or None if it is missing. Go ignores the case of names when it reads JSON, so we do too."""
    return fields.get(_name(fields, name))


def with_field(document: Document, name: str, value: Any) -> Document:
    """Return the document with another value for a field, under the name that the field has in it."""
    return {**document, _name(document, name): value}


def _name(fields: Mapping[str, Any], name: str) -> str:
    if name in fields:
        return name
    return next((other for other in fields if fold(other) == fold(name)), name)


def _parse(data: bytes, expected: Check, *, alone: bool = False) -> Document:
    return expected(parse_json(data, alone=alone), None, "") or {}


def _text(value: str | None) -> str:
    # Docker reads bytes that are not UTF-8, and lone surrogates, as U+FFFD.
    return LONE_SURROGATE.sub("\ufffd", value or "")


def _auths(document: Document) -> dict[str, Any]:
    return field(document, "auths") or {}


def _with(document: Document, key: str, credential: dict[str, str]) -> Document:
    auths = _auths(document)
    # Fields that are not part of the login, such as email, stay.
    others = {name: value for name, value in (auths.get(key) or {}).items() if fold(name) not in _CREDENTIAL_FIELDS}
    return with_field(document, "auths", {**auths, key: {**credential, **others}})


def _decode_auth(text: str, key: str) -> tuple[str, str]:
    text = re.sub(r"[\r\n]", "", text)
    # `b64decode` would accept too much padding.
    if not _BASE64.fullmatch(text):
        raise ConfigError(f"{_place(key)} has an auth that is not base64")
    username, colon, password = base64.b64decode(text).decode("utf-8", "surrogateescape").partition(":")
    if not colon:
        raise _not_a_login(key)
    # docker/cli strips NULs from the password too.
    return username, password.strip("\0")


def _not_a_login(key: str) -> ConfigError:
    return ConfigError(f"{_place(key)} has an auth that is not user:password")


def _place(key: str) -> str:
    return printable(f"auths.{key}", 120)


def _hostname(key: str) -> str:
    """Return the host of a key that an old version of Docker wrote, such as `https://HOST/v2/`."""
    url = _URL.fullmatch(key)
    return url[1] if url else key.partition("/")[0]
