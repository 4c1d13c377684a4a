"""Reads the fields of a secret that name a source of its password instead of the password itself."""

import re
from typing import Final

from agent.model.password_source import PasswordField, PasswordOrigin
from agent.model.problem import ProblemError
from agent.model.secret_fields import Fields

_LIFE: Final = "expires_in_s"
_LONGEST_LIFE_S: Final = 10 * 366 * 24 * 3600
_OUR_HELPER: Final = "registry-agent"
_HELPER_PREFIX: Final = "docker-credential-"
_HELPER: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")

PASSWORD_FIELDS: Final = frozenset({*map(str, PasswordField), _LIFE})


def password_origin(fields: Fields) -> PasswordOrigin | None:
    """Return the source of the password, or None if the secret names none.

    Raises:
        SecretInvalid: a field is wrong, or the secret names two sources.
    """
    command, file, helper = _command(fields), _file(fields), _helper(fields)
    given = {PasswordField.COMMAND: command, PasswordField.FILE: file, PasswordField.HELPER: helper}
    found = {field: words for field, words in given.items() if words}
    life_s = fields.number(_LIFE, _LONGEST_LIFE_S)
    if len(found) > 1:
        fault = f"{' and '.join(found)} are both set"
        raise ProblemError(fields.invalid(fault, "keep only one of them in the secret"))
    if not found:
        if life_s is not None:
            fault = f"{_LIFE} is set, but none of {', '.join(PasswordField)}"
            hint = f"remove {_LIFE}: the agent cannot replace a password that is in the secret"
            raise ProblemError(fields.invalid(fault, hint))
        return None
    ((field, words),) = found.items()
    return PasswordOrigin(field, words, life_s)


def _command(fields: Fields) -> tuple[str, ...]:
    words = fields.words(PasswordField.COMMAND)
    if words and not words[0].strip():
        raise ProblemError(fields.invalid(f"{PasswordField.COMMAND} names no program"))
    return words


def _file(fields: Fields) -> tuple[str, ...]:
    path = fields.text(PasswordField.FILE)
    if path is None:
        return ()
    if not path.startswith("/"):
        raise ProblemError(fields.invalid(f"{PasswordField.FILE} must be an absolute path"))
    return (path,)


def _helper(fields: Fields) -> tuple[str, ...]:
    name = (fields.text(PasswordField.HELPER) or "").removeprefix(_HELPER_PREFIX)
    if not name:
        return ()
    if not _HELPER.fullmatch(name):
        fault = f"{PasswordField.HELPER} must be a name such as pass, for the program {_HELPER_PREFIX}pass"
        raise ProblemError(fields.invalid(fault))
    if name == _OUR_HELPER:
        fault = f"{PasswordField.HELPER} must not be {_OUR_HELPER}: the agent would ask itself"
        raise ProblemError(fields.invalid(fault, "name the helper that has the password, such as pass"))
    return (name,)
