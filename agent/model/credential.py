"""What a registry login is made with, and who AWS is asked as."""

from dataclasses import dataclass
from datetime import datetime

from agent.model.sensitive import Sensitive


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and a password for `docker login`. Times are aware and in UTC.

    An ECR token carries when it was obtained, when it ends, when it is to be renewed (drawn once, so that all
    registries which share the token renew together) and whose it is.
    """

    username: str
    password: Sensitive
    obtained_at: datetime | None = None
    expires_at: datetime | None = None
    renew_at: datetime | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """AWS keys that a secret carries; with them no other place is asked."""

    access_key_id: str
    secret_access_key: Sensitive
    session_token: Sensitive | None = None


@dataclass(frozen=True, slots=True)
class AwsIdentity:
    """Who asks for an ECR token, and where: equal identities share one token.

    `keys` None is the default AWS chain.
    """

    region: str
    public: bool = False
    keys: AwsKeys | None = None
    role_arn: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class EcrToken:
    """What AWS gave for `docker login`. Times are aware and in UTC.

    `expires_at` may lie in the past (stand-ins); `arn` is who was given it, None where that could not be told;
    `server_time` is the reply's Date.
    """

    username: str
    password: Sensitive
    expires_at: datetime
    arn: str | None = None
    server_time: datetime | None = None
