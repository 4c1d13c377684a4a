"""A registry secret. It is parsed and checked once, when it enters the agent, and never printed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.registry import HostnameError, Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.model.text import printable

RUNNER_NATIVE: Final = "runner-native"
ECR_USER: Final = "AWS"

E = TypeVar("E", bound=StrEnum)

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{3,127}")
REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}")
ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}")
_AWS_KEY_ID: Final = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# Far more than any real password or token needs.
_LONGEST: Final = 64 * 1024
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})


class Scope(StrEnum):
    """The level that the secret was defined at. If two secrets serve one registry, the earlier member wins."""

    USER = "user"
    PROJECT = "project"
    ORGANIZATION = "organization"


class Kind(StrEnum):
    """How the agent gets the password for `docker login`."""

    AUTO = "auto"
    BASIC = "basic"
    ECR = "ecr"
    ECR_PUBLIC = "ecr-public"


@dataclass(frozen=True, slots=True)
class RegistrySecret:
    """One checked secret.

    `origin` is the file, variable or address that it comes from. Origin and name form the subject of its warnings.
    """

    name: str
    registry: Registry
    origin: str
    username: str | None = None
    password: Sensitive | None = None
    scope: Scope = Scope.PROJECT
    enabled: bool = True
    kind: Kind = Kind.AUTO
    region: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    session_token: Sensitive | None = None
    profile: str | None = None

    @property
    def subject(self) -> str:
        return f"{self.origin}#{self.name}"

    @property
    def native(self) -> bool:
        """Whether the login uses the platform's own AWS identity."""
        return self.username == RUNNER_NATIVE

    @property
    def has_aws_keys(self) -> bool:
        return self.username is not None and _AWS_KEY_ID.fullmatch(self.username) is not None


def parse_secret(value: object, origin: str, label: str, default_name: str | None = None) -> RegistrySecret:
    """Parse the secret in one JSON object.

    Args:
        value: the decoded JSON; it may have any shape.
        origin: the file, variable or address, without anything secret.
        label: what warnings show instead of the name while it is not known, such as `[2]`.
        default_name: if the format has no names, the name is `default_name`, followed by `-<host>`.

    Raises:
        SecretInvalid: which field is wrong and how, never its value.
    """
    fields = _Fields(value, origin, label)
    registry = fields.registry()
    name = fields.name(f"{default_name}-{registry.hostname}" if default_name is not None else None)
    secret = RegistrySecret(
        name=name,
        registry=registry,
        origin=origin,
        username=fields.text("username"),
        password=fields.sensitive("password"),
        scope=fields.choice("scope", Scope, Scope.PROJECT),
        enabled=fields.flag("enabled", default=True),
        kind=fields.choice("kind", Kind, Kind.AUTO),
        region=fields.matching("region", REGION, "an AWS region such as eu-west-1"),
        role_arn=fields.matching("role_arn", ROLE_ARN, "a role's ARN such as arn:aws:iam::123456789012:role/pull"),
        external_id=fields.text("external_id"),
        session_token=fields.sensitive("session_token"),
        profile=fields.text("profile"),
    )
    _check_login(secret, fields)
    return secret


def _check_login(secret: RegistrySecret, fields: "_Fields") -> None:
    # HTTP basic authentication ends the user name at the first colon.
    if secret.username is not None and ":" in secret.username:
        raise ProblemError(fields.invalid("username contains a colon, which a registry login cannot have"))
    # On ECR, a role, a profile or the platform's identity replaces the password.
    ecr = secret.kind in (Kind.ECR, Kind.ECR_PUBLIC) or (secret.kind is Kind.AUTO and secret.registry.ecr is not None)
    if secret.username is None and secret.password is None and (secret.role_arn or secret.profile) and ecr:
        return
    if secret.username is None:
        raise ProblemError(fields.invalid("username is missing"))
    if secret.password is None and not secret.native:
        raise ProblemError(fields.invalid("password is missing or empty"))


class _Fields:
    """Reads the fields of one object, each with the type that it must have."""

    def __init__(self, value: object, origin: str, label: str) -> None:
        self._origin = origin
        self._label = label
        if not isinstance(value, Mapping):
            raise ProblemError(self.invalid("a secret must be a JSON object"))
        self._value: Mapping[str, Any] = value
        name = value.get("name")
        if isinstance(name, str) and name:
            self._label = printable(name, 127)

    def invalid(self, fault: str) -> SecretInvalid:
        return SecretInvalid(f"{self._origin}#{self._label}", f"secret {self._label} of {self._origin}: {fault}")

    def registry(self) -> Registry:
        text = self.text("hostname")
        if text is None:
            raise ProblemError(self.invalid("hostname is missing"))
        try:
            return parse_hostname(text)
        except HostnameError as error:
            raise ProblemError(self.invalid(str(error))) from error

    def name(self, default: str | None) -> str:
        name = self.text("name")
        if name is None and default is not None:
            self._label = printable(default)
            return self._label
        if name is None:
            raise ProblemError(self.invalid("name is missing"))
        if not _NAME.fullmatch(name):
            raise ProblemError(self.invalid("name must be 3 to 127 of the characters A-Z a-z 0-9 _ -"))
        return name

    def text(self, field: str) -> str | None:
        """Return a field without control characters. A field that is missing, null or empty is None."""
        text = self._string(field)
        # People paste host names with a line break, and parse_hostname removes it.
        if text is not None and field != "hostname" and _CONTROL.search(text):
            raise ProblemError(self.invalid(f"{field} contains a control character, such as a line break"))
        return text

    def sensitive(self, field: str) -> Sensitive | None:
        """Return a field as a secret, without line ends after it. `docker login --password-stdin` cuts them too."""
        text = self._string(field)
        if text is None:
            return None
        text = text.rstrip("\r\n")
        if _CONTROL.search(text):
            raise ProblemError(self.invalid(f"{field} contains a control character, such as a line break"))
        return Sensitive(text) if text.strip() else None

    def matching(self, field: str, pattern: re.Pattern[str], meaning: str) -> str | None:
        text = self.text(field)
        if text is not None and not pattern.fullmatch(text):
            raise ProblemError(self.invalid(f"{field} must be {meaning}"))
        return text

    def choice(self, field: str, kind: type[E], default: E) -> E:
        text = self.text(field)
        if text is None:
            return default
        try:
            return kind(text)
        except ValueError:
            raise ProblemError(self.invalid(f"{field} must be one of {', '.join(kind)}")) from None

    def flag(self, field: str, *, default: bool) -> bool:
        value = self._value.get(field)
        if value is None or value == "":
            return default
        if isinstance(value, bool):
            return value
        # In a subdirectory every field is a file, so a flag is a string there.
        if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
            return value.strip().lower() in _TRUE
        raise ProblemError(self.invalid(f"{field} must be true or false"))

    def _string(self, field: str) -> str | None:
        value = self._value.get(field)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise ProblemError(self.invalid(f"{field} must be a string"))
        if len(value) > _LONGEST:
            raise ProblemError(self.invalid(f"{field} is longer than {_LONGEST} characters"))
        try:
            # JSON can hold lone surrogates, which nothing can write to a pipe or a file.
            value.encode()
        except UnicodeEncodeError:
            raise ProblemError(self.invalid(f"{field} is not valid Unicode")) from None
        return value
