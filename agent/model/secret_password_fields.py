"""Reads the fields of a secret that name a source of its password instead of the password itself."""

import re
from typing import Final

from agent.model.password_source import PasswordField, PasswordOrigin
from agent.model.secret_fields import Fields

_LIFE: Final = "expires_in_s"
_LONGEST_LIFE_S: Final = 10 * 366 * 24 * 3600
_OUR_HELPER: Final = "registry-agent"
_HELPER_PREFIX: Final = "docker-credential-"
_HELPER: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")

PASSWORD_FIELDS: Final = frozenset({*map(str, PasswordField), _LIFE})


def password_origin(fields: Fields) -> PasswordOrigin | None:
    """Return the source of the password, or None if the secret names none. Two sources are an error."""
    readers = {PasswordField.COMMAND: _command, PasswordField.FILE: _file, PasswordField.HELPER: _helper}
    given = {field: read(fields) for field, read in readers.items()}
    found = [field for field, words in given.items() if words]
    life_s = fields.number(_LIFE, _LONGEST_LIFE_S)
    if len(found) > 1:
        raise fields.invalid(f"{' and '.join(found)} are both set", "keep only one of them in the secret")
    if found:
        return PasswordOrigin(found[0], given[found[0]], life_s)
    if life_s is not None:
        fault = f"{_LIFE} is set, but none of {', '.join(PasswordField)}"
        raise fields.invalid(fault, f"remove {_LIFE}: the agent cannot replace a password that is in the secret")
    return None


def _command(fields: Fields) -> tuple[str, ...]:
    words = fields.words(PasswordField.COMMAND)
    if words and not words[0].strip():
        raise fields.invalid(f"{PasswordField.COMMAND} names no program")
    return words


def _file(fields: Fields) -> tuple[str, ...]:
    path = fields.text(PasswordField.FILE)
    # The agent's working directory is not the one of the person who wrote the secret.
    if path is not None and not path.startswith("/"):
        raise fields.invalid(f"{PasswordField.FILE} must be an absolute path")
    return (path,) if path else ()


def _helper(fields: Fields) -> tuple[str, ...]:
    name = (fields.text(PasswordField.HELPER) or "").removeprefix(_HELPER_PREFIX)
    if not name:
        return ()
    if not _HELPER.fullmatch(name):
        fault = f"{PasswordField.HELPER} must be a name such as pass, for the program {_HELPER_PREFIX}pass"
        raise fields.invalid(fault)
    if name == _OUR_HELPER:
        fault = f"{PasswordField.HELPER} must not be {_OUR_HELPER}: the agent would ask itself"
        raise fields.invalid(fault, "name the helper that has the password, such as pass")
    return (name,)
