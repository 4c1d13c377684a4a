"""The structure of Docker's configuration without logins: registries, where their logins are, and other keys."""

import os
from pathlib import Path
from typing import Any, Final

from agent.edge.file_version import UnreadableFileError, read_version
from agent.edge.programs import find_program, rejected_program
from agent.model.docker_config import TOKEN_USER, ConfigError, Document, decode_entry, field, parse_config, store_of
from agent.model.encoded_login import AZURE_USER, ECR_USER
from agent.model.google_errors import USER as GOOGLE_USER
from agent.model.text import printable

_MASKED: Final = "[masked]"
_PUBLIC_USERS: Final = frozenset({ECR_USER, TOKEN_USER, GOOGLE_USER, AZURE_USER, "_json_key", "_token"})
"""User names that registries prescribe. They identify no person, so they are not masked."""
_MAX_SHOWN: Final = 500


def shape(path: Path, search_path: str | None) -> dict[str, Any] | None:
    """The structure of the file at `path`, or None if it does not exist. Helpers are looked up in `search_path`.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        version = read_version(path)
    except UnreadableFileError as error:
        return {"path": str(path), "fault": str(error)}
    if version is None:
        return {"path": str(path), "fault": "a symbolic link to a missing file"} if path.is_symlink() else None
    known = {
        "path": str(path),
        "links_to": str(path.resolve()) if path.is_symlink() else None,
        "mounted_by_itself": path.is_mount(),
        "mode": f"{version.mode & 0o7777:04o}",
        "owner_is_me": version.uid == os.geteuid(),
        "bytes": len(version.data),
    }
    try:
        document = parse_config(version.data)
    except ConfigError as error:
        return {**known, "fault": printable(str(error))}
    return {**known, **_content(document, search_path)}


def _content(document: Document, search_path: str | None) -> dict[str, Any]:
    auths = field(document, "auths") or {}
    helpers = field(document, "credHelpers") or {}
    names = {name for name in [field(document, "credsStore"), *helpers.values()] if name}
    return {
        "keys": [printable(key, 100) for key in document][:_MAX_SHOWN],
        "credsStore": _name(field(document, "credsStore")),
        "credHelpers": {printable(host, 300): _name(name) for host, name in [*helpers.items()][:_MAX_SHOWN]},
        "helper_programs": {_name(name): _program(name, search_path) for name in sorted(names)[:_MAX_SHOWN]},
        "auths": {printable(key, 300): _entry(document, key, fields) for key, fields in [*auths.items()][:_MAX_SHOWN]},
    }


def _entry(document: Document, key: str, fields: Any) -> dict[str, Any]:
    entry = decode_entry(fields, key)
    store = store_of(document, key)
    kept = f"in the credential helper {_name(store)}" if store else "in this file"
    if entry is None:
        return {"holds": "no login", "docker_looks": kept}
    return {
        "holds": "an identity token" if entry.identity_token else "a password",
        "user": entry.username if entry.username in _PUBLIC_USERS else _MASKED,
        "docker_looks": kept,
    }


def _name(name: str | None) -> str | None:
    return name and printable(name, 100)


def _program(name: str, search_path: str | None) -> str:
    # The name comes from a file. With a path in it, it could name any file.
    if "/" in name or "\0" in name:
        return "not a program name"
    found = find_program(f"docker-credential-{name}", search_path)
    rejected = None if found else rejected_program(f"docker-credential-{name}", search_path)
    return str(found) if found else rejected.reason if rejected else "not on PATH"
