"""Reads the fields of one secret, and the source of its password. A problem never shows a value."""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from agent.model.commands import shown
from agent.model.encoded_login import login_of
from agent.model.helper_names import HELPER_NAME, OWN_HELPER, PREFIX
from agent.model.leftovers import ENCRYPTED, PLACEHOLDER, QUOTES, leftover
from agent.model.outside_values import number
from agent.model.password_source import PasswordField, PasswordOrigin
from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.registry import HostnameError, Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.model.text import LONE_SURROGATE, escaped, printable, trimmed

E = TypeVar("E", bound=StrEnum)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{3,127}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# Far more than any real password or token needs.
_LONGEST: Final = 64 * 1024
_MEANINGS: Final = {
    "name": "your own name for it, of at least three letters",
    "hostname": "the registry, such as ghcr.io",
    "username": "the user name for the registry",
    "password": "the password or token for the registry",
}
# The names of other programs for a field, as `_folded` returns them.
_OTHER_NAMES: Final = {
    "hostname": frozenset(
        {"host", "server", "serverurl", "serveraddress", "registry", "registryurl", "registryserver", "url", "endpoint"}
        | {"address", "dockerserver", "loginserver", "hostname", "proxyendpoint"}
    ),
    "username": frozenset({"user", "login", "username", "dockerusername", "account", "clientid"}),
    "password": frozenset(
        {"pass", "passwd", "pwd", "token", "secret", "password", "dockerpassword", "accesstoken", "clientsecret"}
    ),
}
_FIXES: Final = {
    PLACEHOLDER: "replace the placeholder in",
    QUOTES: "remove the quotes around",
    ENCRYPTED: "put the decrypted values (`sops --decrypt` prints them) into",
}
FLAGS: Final = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)
_LIFE: Final = "expires_in_s"
_LONGEST_LIFE_S: Final = 10 * 366 * 24 * 3600
PASSWORD_FIELDS: Final = frozenset({*map(str, PasswordField), _LIFE})


class UnnamedSecretError(ProblemError):
    """A secret that cannot be used, and whose name is not known. It may be any secret that its source held before."""


class Fields:
    """Reads the fields of one object, each with the type that it must have."""

    def __init__(self, value: object, origin: str, label: str) -> None:
        self._origin, self._label = origin, label
        self._named = False
        if not isinstance(value, Mapping):
            raise self.invalid("a secret must be a JSON object")
        self._value: Mapping[str, Any] = value
        name = value.get("name")
        if isinstance(name, str) and name:
            self._label = escaped(name, 127)
            self._named = _NAME.fullmatch(trimmed(name)) is not None

    def invalid(self, fault: str, hint: str | None = None) -> ProblemError:
        message = f"secret {self._label} of {self._origin}: {fault}"
        kind = ProblemError if self._named else UnnamedSecretError
        return kind(SecretInvalid(f"{self._origin}#{self._label}", message, hint=hint))

    def missing(self, field: str, how: str = "missing") -> ProblemError:
        """Report a missing field. If another program's name for it is there, the hint is to rename that."""
        fault = f"{field} is {how}"
        for key, inner in self._value.items():
            # Only a whole secret: what is next to the key would be lost.
            if isinstance(inner, Mapping) and {field, "hostname"} <= inner.keys():
                name = printable(key, 40)
                return self.invalid(
                    f"{fault}; it is under the key {name}", f"keep only what is under the key {shown(name)}"
                )
        for key in self._value:
            if key != field and _folded(key) in _OTHER_NAMES.get(field, ()):
                fault = f"{fault}; the key {key} is not one of the agent's fields"
                return self.invalid(fault, f"rename the key {shown(key)} to {field}")
        return self.invalid(fault, f"add {field} to the secret: {_MEANINGS[field]}")

    def registry(self) -> Registry:
        text = self.text("hostname")
        if text is None:
            raise self.missing("hostname")
        try:
            return parse_hostname(text)
        except HostnameError as error:
            left = leftover(text)
            raise (self._left_in("hostname", left) if left else self.invalid(str(error))) from error

    def _left_in(self, field: str, left: str) -> ProblemError:
        # Mostly all fields have it, for example because `docker run --env-file` keeps quotes.
        fields = " and ".join(name for name in _MEANINGS if leftover(self._value.get(name)) == left)
        return self.invalid(f"{field} is {left}", f"{_FIXES[left]} {fields}")

    def name(self, default: str | None) -> str:
        name = self.text("name")
        if name is None and default is not None:
            self._label, self._named = printable(default), True
            return self._label
        if name is None:
            raise self.missing("name")
        if not _NAME.fullmatch(name):
            raise self.invalid("name must be 3 to 127 of the characters A-Z a-z 0-9 _ -")
        return name

    def login(self) -> tuple[str | None, Sensitive | None]:
        """Return user name and password, also from an `auth` that was copied from Docker's configuration."""
        username, password, auth = self.text("username"), self.password(), self.text("auth")
        if username is not None or password is not None or auth is None:
            return username, password
        try:
            user, text = login_of(auth)
        except ValueError:
            hint = "write username and password instead of auth"
            raise self.invalid("auth is not the base64 of user:password", hint) from None
        return self._text("username", user), self._password(text)

    def text(self, field: str) -> str | None:
        """Return a field without blanks around it. A field that is missing, null or empty is None."""
        return self._text(field, self._string(field) or "")

    def _text(self, field: str, value: str) -> str | None:
        text = trimmed(value)
        # People paste host names with a line break, and parse_hostname removes it.
        if field != "hostname" and _CONTROL.search(text):
            raise self.invalid(f"{field} contains a control character, such as a line break")
        return text or None

    def password(self) -> Sensitive | None:
        """Return the password without line ends after it. `docker login --password-stdin` cuts them too.

        Docker accepts all other characters, so a key over many lines is a password too.
        """
        value = self._value.get("password")
        # A Google key is JSON, so people write it as JSON, without quotes around it.
        text = json.dumps(value) if is_google_key(value) else self._string("password")
        return self._password(text or "")

    def _password(self, text: str) -> Sensitive | None:
        text = text.rstrip("\r\n")
        if "\0" in text:
            raise self.invalid(
                "password contains a NUL character", "save the password as UTF-8 text, without NUL bytes"
            )
        return Sensitive(text) if text.strip() else None

    def sensitive(self, field: str) -> Sensitive | None:
        """Return a field that goes into an HTTP header as a secret."""
        text = self.text(field)
        return None if text is None else Sensitive(text)

    def matching(self, field: str, pattern: re.Pattern[str], meaning: str) -> str | None:
        text = self.text(field)
        if text is not None and not pattern.fullmatch(text):
            raise self.invalid(f"{field} must be {meaning}")
        return text

    def choice(self, field: str, kind: type[E], default: E) -> E:
        text = self.text(field)
        if text is None:
            return default
        try:
            return kind(text.lower())
        except ValueError:
            raise self.invalid(f"{field} must be one of {', '.join(kind)}") from None

    def flag(self, field: str, *, default: bool) -> bool:
        value = self._given(field)
        # In a subdirectory every field is a file, so a flag is a string there.
        flag = FLAGS.get(value.strip().lower()) if isinstance(value, str) else default if value is None else value
        if not isinstance(flag, bool):
            raise self.invalid(f"{field} must be true or false")
        return flag

    def words(self, field: str) -> tuple[str, ...]:
        """Return a list of strings, such as a command. One that is missing, null or empty has no words."""
        value = self._value.get(field)
        # In a subdirectory every field is a file, which holds the list as JSON.
        if isinstance(value, str) and value.lstrip().startswith("["):
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(value)
        if value in (None, "", []):
            return ()
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            hint = f'write {field} as a list of a program and its arguments, such as ["pass", "show", "registry"]'
            raise self.invalid(f"{field} must be a list of strings", hint)
        if sum(map(len, value)) > _LONGEST or any("\0" in word or LONE_SURROGATE.search(word) for word in value):
            raise self.invalid(f"{field} is too long, or contains a character that no program accepts")
        return tuple(value)

    def number(self, field: str, most: float) -> float | None:
        """Return a number above zero. In a subdirectory it is a string."""
        if self._given(field) is None:
            return None
        found = number(self._value[field])
        if found is None or not 0 < found <= most:
            raise self.invalid(f"{field} must be a number of seconds above 0, and at most {most}")
        return found

    def _given(self, field: str) -> Any:
        # Compose files and templates write an empty value for what nobody has set.
        value = self._value.get(field)
        return None if value == "" else value

    def _string(self, field: str) -> str | None:
        value = self._given(field)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.invalid(f"{field} must be a string")
        if len(value) > _LONGEST:
            raise self.invalid(f"{field} is longer than {_LONGEST} characters")
        if LONE_SURROGATE.search(value):
            raise self.invalid(f"{field} is not valid Unicode")
        return value


def _folded(key: str) -> str:
    return re.sub("[-_. ]", "", key.lower())


def fields_meant(names: Iterable[str]) -> dict[str, str]:
    """Return which field each file of a directory means, if its name is another one, such as `HOSTNAME` or `user.txt`.

    A single such name can also be a document, so it takes two that belong together.
    """
    known = [(name, _field_meant(name)) for name in names]
    meant = {name: field for name, field in known if field is not None}
    return {n: f for n, f in meant.items() if n != f} if len(set(meant.values())) > 1 else {}


def _field_meant(name: str) -> str | None:
    folded = _folded(name.lower().removesuffix(".txt"))
    return next((field for field, others in _OTHER_NAMES.items() if folded in others), None)


def is_google_key(value: object) -> bool:
    return isinstance(value, Mapping) and value.get("type") == "service_account"


def password_origin(fields: Fields) -> PasswordOrigin | None:
    """Return the source of the password, or None if the secret names none. Two sources are an error."""
    readers = {PasswordField.COMMAND: _command, PasswordField.FILE: _file, PasswordField.HELPER: _helper}
    given = {field: read(fields) for field, read in readers.items()}
    found = [field for field, words in given.items() if words]
    if len(found) > 1:
        raise fields.invalid(f"{' and '.join(found)} are both set", "keep only one of them in the secret")
    # Next to a password, its life is only a note: the agent cannot replace what is in the secret.
    return PasswordOrigin(found[0], given[found[0]], fields.number(_LIFE, _LONGEST_LIFE_S)) if found else None


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
    name = (fields.text(PasswordField.HELPER) or "").removeprefix(PREFIX)
    if not name:
        return ()
    if not HELPER_NAME.fullmatch(name):
        fault = f"{PasswordField.HELPER} must be a name such as pass, for the program {PREFIX}pass"
        raise fields.invalid(fault)
    if name == OWN_HELPER:
        fault = f"{PasswordField.HELPER} must not be {OWN_HELPER}: the agent would ask itself"
        raise fields.invalid(fault, "name the helper that has the password, such as pass")
    return (name,)
