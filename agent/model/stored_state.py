"""The state that survives a restart of the agent: which stored logins are its own, and which were refused."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.model.problem import Problem, RetryClass


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """The login that the agent stored for one registry.

    `digests` are keyed hashes of this login and of the logins that the agent stored there before, the newest first.
    `source` is a keyed hash of the newest one and of the source that gave its password. None if the secret holds it.
    """

    docker_key: str
    digests: tuple[str, ...]
    expires_at: datetime | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class AppliedLogin:
    """Where a login is stored. Not `ours`: another login is there, and stays. The board already shows `problems`."""

    stored_in: str
    problems: tuple[Problem, ...]
    ours: bool


@dataclass(frozen=True, slots=True)
class Rejection:
    """A login that was refused or deferred: the fingerprint of its credential, the reason, the next attempt (UTC).

    `wait` is how long the wait until then was when it began. None if an older version recorded it.
    """

    fingerprint: str
    code: str
    message: str
    hint: str
    not_before: datetime
    retry_class: RetryClass = RetryClass.REJECTED
    wait: timedelta | None = None
