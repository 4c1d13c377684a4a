"""The credentials of registry logins, and the sources that give tokens for them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from agent.model.problem import Problem
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and a password for `docker login`. Times are aware and in UTC.

    A token also has the times when it was obtained, when it expires and when to renew it, and its identity. The renewal
    time is randomized once per token. So all registries that share the token renew together.
    """

    username: str
    password: Sensitive
    obtained_at: datetime | None = None
    expires_at: datetime | None = None
    renew_at: datetime | None = None
    identity: str | None = None

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """What decides whether a registry accepts it. It holds a secret: only hash it."""
        return ("given", self.username, self.password.reveal())


class TokenSource(ABC):
    """Gives tokens that end, each time it is asked. Equal sources share one token and its failures.

    A kind of source is a frozen dataclass. `edge/clouds.py` knows what fetches the tokens of each kind.
    """

    __slots__ = ()

    issuer: ClassVar[str] = ""
    """The cloud that issues its tokens, for people. Empty if no cloud does."""

    code_prefix: ClassVar[str]
    """How the codes of its problems begin. Another registry's token from the same source shows that these are over."""

    @property
    @abstractmethod
    def log_fields(self) -> dict[str, Any]:
        """What the log shows of it, never a secret."""

    @property
    @abstractmethod
    def fingerprint(self) -> tuple[str, ...] | None:
        """What decides which login a registry rejects. It may hold secrets: only hash it.

        None if only the password itself decides, because the source can give another one at any time.
        """

    @property
    def depends_on_environment(self) -> bool:
        """Whether settings and variables also decide which login it gives."""
        return bool(self.issuer)

    def not_replaced(self, _ends: datetime) -> Problem | None:
        """The problem if the source still gives a token that is about to end. None if that can be normal."""
        return None


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """AWS keys from a secret. If a secret has keys, the agent does not use the AWS credential chain."""

    access_key_id: str
    secret_access_key: Sensitive
    session_token: Sensitive | None = None


@dataclass(frozen=True, slots=True)
class AwsIdentity(TokenSource):
    """Who requests an ECR token, and in which region. Equal identities share one token.

    If `keys` is None, the default AWS credential chain provides the keys, from `profile` if the secret names one.
    """

    region: str
    public: bool = False
    keys: AwsKeys | None = None
    role_arn: str | None = None
    external_id: str | None = None
    profile: str | None = None

    issuer: ClassVar[str] = "AWS"
    code_prefix: ClassVar[str] = "aws_"

    @property
    def log_fields(self) -> dict[str, Any]:
        return {"region": self.region, "public": self.public, "role": self.role_arn}

    @property
    def fingerprint(self) -> tuple[str, ...]:
        # The profile only if there is one: the fingerprints of an older state file stay valid.
        profile = (self.profile,) if self.profile else ()
        parts = (self.region, str(self.public), self.role_arn or "", self.external_id or "", *profile)
        keys = self.keys
        if keys is None:
            return ("aws chain", *parts)
        session_token = keys.session_token.reveal() if keys.session_token else ""
        return ("aws", *parts, keys.access_key_id, keys.secret_access_key.reveal(), session_token)

    @property
    def depends_on_environment(self) -> bool:
        return self.keys is None


@dataclass(frozen=True, slots=True)
class GoogleIdentity(TokenSource):
    """Who requests a token for Artifact Registry: the environment's own identity, or the service account it may use."""

    service_account: str | None = None

    issuer: ClassVar[str] = "Google"
    code_prefix: ClassVar[str] = "google_"

    @property
    def log_fields(self) -> dict[str, Any]:
        return {"service_account": self.service_account}

    @property
    def fingerprint(self) -> tuple[str, ...]:
        return ("google", self.service_account or "")


@dataclass(frozen=True, slots=True)
class AzureIdentity(TokenSource):
    """Who requests a token for an Azure container registry, and for which one: each registry issues its own tokens."""

    registry: Registry
    client_id: str | None = None

    issuer: ClassVar[str] = "Azure"
    code_prefix: ClassVar[str] = "azure_"

    @property
    def log_fields(self) -> dict[str, Any]:
        return {"client_id": self.client_id}

    @property
    def fingerprint(self) -> tuple[str, ...]:
        return ("azure", self.registry.hostname, self.client_id or "")


@dataclass(frozen=True, slots=True)
class Token:
    """A user name and a password for `docker login`, as a source gave them. Times are aware and in UTC.

    `expires_at` may lie in the past (AWS emulators do that), and is None if the source does not show it. `identity` is
    who got the token, or None if that is not known. `server_time` is the Date header of the reply.

    `reserve` is for a source that gives the same token until shortly before its end: so long before that end, it surely
    has another one. None if each request returns another token.
    """

    username: str
    password: Sensitive
    expires_at: datetime | None
    identity: str | None = None
    server_time: datetime | None = None
    reserve: timedelta | None = None
