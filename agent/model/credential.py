"""The credentials of registry logins, and the identities that get tokens from AWS."""

from dataclasses import dataclass
from datetime import datetime

from agent.model.sensitive import Sensitive


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and a password for `docker login`. Times are aware and in UTC.

    An ECR token also has the times when it was obtained, when it expires and when to renew it, and its identity. The
    renewal time is randomized once per token. So all registries that share the token renew together.
    """

    username: str
    password: Sensitive
    obtained_at: datetime | None = None
    expires_at: datetime | None = None
    renew_at: datetime | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """AWS keys from a secret. If a secret has keys, the agent does not use the AWS credential chain."""

    access_key_id: str
    secret_access_key: Sensitive
    session_token: Sensitive | None = None


@dataclass(frozen=True, slots=True)
class AwsIdentity:
    """Who requests an ECR token, and in which region. Equal identities share one token.

    If `keys` is None, the default AWS credential chain provides the keys, from `profile` if the secret names one.
    """

    region: str
    public: bool = False
    keys: AwsKeys | None = None
    role_arn: str | None = None
    external_id: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class EcrToken:
    """A token that AWS issued for `docker login`. Times are aware and in UTC.

    `expires_at` may lie in the past (AWS emulators do that). `arn` is the identity that got the token, or None if it is
    not known. `server_time` is the Date header of the reply.
    """

    username: str
    password: Sensitive
    expires_at: datetime
    arn: str | None = None
    server_time: datetime | None = None
