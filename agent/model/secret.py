"""A registry secret. It is parsed and checked once, when it enters the agent, and never printed."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.model.commands import shown
from agent.model.document_text import DocumentError
from agent.model.encoded_login import ECR_USER, ecr_token, is_ecr_token
from agent.model.google_names import SERVICE_ACCOUNT
from agent.model.password_source import PasswordField, PasswordOrigin, Trust
from agent.model.pasted_text import decode
from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.registry import Registry
from agent.model.secret_fields import Fields, is_google_key, password_origin
from agent.model.sensitive import Sensitive

RUNNER_NATIVE: Final = "runner-native"
REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}")
ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}")
CLIENT_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TENANT_ID: Final = re.compile(rf"{CLIENT_ID.pattern}|[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+[A-Za-z0-9-]+")
_AWS_KEY_ID: Final = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
# At ECR, only key ids begin like this. At another registry, a user name may.
_LIKE_AWS_KEY_ID: Final = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]*", re.IGNORECASE)
_GOOGLE_USER: Final = "_json_key"


class Scope(StrEnum):
    """The level that the secret was defined at. If two secrets serve one registry, the earlier member wins."""

    USER = "user"
    PROJECT = "project"
    ORGANIZATION = "organization"


class Kind(StrEnum):
    AUTO = "auto"
    BASIC = "basic"
    ECR = "ecr"
    ECR_PUBLIC = "ecr-public"
    GAR = "gar"
    ACR = "acr"


@dataclass(frozen=True, slots=True)
class RegistrySecret:
    """One checked secret.

    `origin` is the file, variable or address that it comes from. Origin and name form the subject of its warnings.
    `password_origin` replaces the password, and `trust` is who could have written it. A field that a person must not
    set is in `_NOT_FIELDS` in `secret_formats.py`.
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
    google_service_account: str | None = None
    azure_client_id: str | None = None
    password_origin: PasswordOrigin | None = None
    trust: Trust = Trust.OWN

    @property
    def subject(self) -> str:
        return f"{self.origin}#{self.name}"

    @property
    def native(self) -> bool:
        """Whether the login uses the identity that the platform gives the environment in a cloud."""
        return self.username == RUNNER_NATIVE

    @property
    def native_kind(self) -> Kind | None:
        """The kind of login with the environment's own identity at Google or Azure. None for any other login."""
        if self.password_origin is not None or (not self.native and (self.username or self.password)):
            return None
        names = {Kind.GAR: self.google_service_account, Kind.ACR: self.azure_client_id}
        if self.kind in names:
            return self.kind
        found = Kind.GAR if self.registry.is_google else Kind.ACR if self.registry.is_azure else None
        # Security: only an explicit kind sends a token to a host outside the cloud.
        if found is None or self.kind is not Kind.AUTO:
            return None
        return found if self.native or names[found] else None

    @property
    def password_file(self) -> str | None:
        """The file that holds the password. It is no secret by itself, although it may be in a directory of secrets."""
        origin = self.password_origin
        return origin.words[0] if origin is not None and origin.field is PasswordField.FILE else None

    @property
    def values(self) -> list[str]:
        """The values that nobody may see."""
        return [value.reveal() for value in (self.password, self.session_token) if value is not None]

    @property
    def has_aws_keys(self) -> bool:
        return self.username is not None and _AWS_KEY_ID.fullmatch(self.username) is not None


def parse_secret(value: object, origin: str, label: str, default_name: str | None = None) -> RegistrySecret:
    """Parse the secret in one JSON object, or raise a `ProblemError` with the field that is wrong, never its value.

    Args:
        value: the decoded JSON; it may have any shape.
        origin: the file, variable or address, without anything secret.
        label: what warnings show instead of the name while it is not known, such as `[2]`.
        default_name: if the format has no names, the name is `default_name`, followed by `-<host>`.
    """
    fields = Fields(value, origin, label)
    registry = fields.registry()
    name = fields.name(f"{default_name}-{registry.hostname}" if default_name is not None else None)
    kind = fields.choice("kind", Kind, Kind.AUTO)
    username, password = fields.login()
    if username is not None and username.lower() == RUNNER_NATIVE:
        username = RUNNER_NATIVE
    if password is not None and username == _GOOGLE_USER:
        password = _google_key(password)
    if password is not None and username != RUNNER_NATIVE and _is_ecr(kind, registry):
        username, password = _ecr_login(username, password)
    secret = RegistrySecret(
        name=name,
        registry=registry,
        origin=origin,
        username=username,
        password=password,
        scope=fields.choice("scope", Scope, Scope.PROJECT),
        enabled=fields.flag("enabled", default=True),
        kind=kind,
        region=fields.matching("region", REGION, "an AWS region such as eu-west-1"),
        role_arn=fields.matching("role_arn", ROLE_ARN, "a role's ARN such as arn:aws:iam::123456789012:role/pull"),
        external_id=fields.text("external_id"),
        session_token=fields.sensitive("session_token"),
        profile=fields.text("profile"),
        google_service_account=fields.matching(
            "google_service_account", SERVICE_ACCOUNT, "the e-mail address of a service account"
        ),
        azure_client_id=fields.matching("azure_client_id", CLIENT_ID, "the client ID of a managed identity"),
        password_origin=password_origin(fields),
    )
    _check_login(secret, fields)
    return secret


def _check_login(secret: RegistrySecret, fields: Fields) -> None:
    # HTTP basic authentication ends the user name at the first colon.
    if secret.username is not None and ":" in secret.username:
        raise fields.invalid("username contains a colon, which a registry login cannot have")
    if _has_half_aws_key(secret):
        fault = "username begins like an AWS access key id, but is none: that is 16 to 128 capital letters and digits"
        raise fields.invalid(fault, "copy the whole access key id into username, in capital letters")
    if secret.password_origin is not None:
        _check_origin(secret, secret.password_origin, fields)
        return
    # In a cloud, a role, a profile, an account or the platform's identity replaces the password.
    no_login = secret.username is None and secret.password is None
    role = no_login and (secret.role_arn or secret.profile) and _is_ecr(secret.kind, secret.registry)
    if role or secret.native_kind is not None:
        return
    if secret.username is None:
        raise fields.missing("username")
    if secret.password is None and not secret.native:
        raise fields.missing("password", "missing or empty")


def _check_origin(secret: RegistrySecret, origin: PasswordOrigin, fields: Fields) -> None:
    if secret.password is not None:
        fault = f"password and {origin.field} are both set"
        raise fields.invalid(fault, f"remove password or {origin.field} from the secret")
    if secret.native or secret.has_aws_keys:
        fault = f"{origin.field} gives the password of a registry, but the username is for an identity of a cloud"
        raise fields.invalid(fault, f"set username to the user name for {secret.registry}")


def _has_half_aws_key(secret: RegistrySecret) -> bool:
    """Whether the login is for ECR with AWS keys whose id is cut off or mistyped. ECR would get them as a password."""
    user = secret.username or ""
    return not secret.has_aws_keys and _is_ecr(secret.kind, secret.registry) and bool(_LIKE_AWS_KEY_ID.fullmatch(user))


def _is_ecr(kind: Kind, registry: Registry) -> bool:
    return kind in (Kind.ECR, Kind.ECR_PUBLIC) or (kind is Kind.AUTO and registry.ecr is not None)


def _ecr_login(username: str | None, password: Sensitive) -> tuple[str | None, Sensitive]:
    """Return a ready token as ECR accepts it: with the user name AWS in upper case, and without anything around it."""
    text = password.reveal()
    if (username or "").upper() == ECR_USER or is_ecr_token(text):
        return ECR_USER, Sensitive(ecr_token(text))
    return username, password


def _google_key(password: Sensitive) -> Sensitive:
    """Return Google's key as JSON. People also paste it in quotes, encoded twice or in base64."""
    text = password.reveal()
    if text.lstrip().startswith("{") and text.lstrip("{ \t\r\n").startswith('"'):
        return password  # as it is: the registry gets exactly what is in the file
    try:
        key = decode(text)
    except DocumentError:
        return password
    return Sensitive(json.dumps(key)) if is_google_key(key) else password


def check_trust(secret: RegistrySecret, *, allow_commands: bool) -> None:
    """Raise a ProblemError for a secret whose command somebody else may have chosen.

    A person who writes such a secret runs programs as the agent's user, or has any file of the user sent to a registry.
    """
    trusted = {Trust.OWN, Trust.URL} if allow_commands else {Trust.OWN}
    if secret.password_origin is not None and secret.trust not in trusted:
        raise ProblemError(_refusal(secret, secret.password_origin.field))


def _refusal(secret: RegistrySecret, field: str) -> SecretInvalid:
    if secret.trust is Trust.URL:
        fault = f"{field} is not accepted from secrets.url, because secrets.allow_commands is false"
        hint = "set secrets.allow_commands to true if you trust this service to run programs as your user"
    else:
        fault = f"{field} is accepted only from a file of the agent's user or root that not everybody can write to"
        hint = f"check what it runs, then make {shown(secret.origin)} belong to the agent's user, writable for no other"
    return SecretInvalid(secret.subject, f"secret {secret.name} of {secret.origin}: {fault}", hint=hint)
