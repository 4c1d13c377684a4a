"""The state that survives a restart of the agent: which stored logins are its own, and which were refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from agent.model.problem import Problem, RetryClass


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """The login that the agent stored for one registry, which ends at `expires_at`.

    `digests` are keyed hashes of the logins that the agent stored there, the newest first. The write of the newest may
    have failed. `ends` is when each of them ends. `source` is a keyed hash of the newest one and of the source that
    gave its password. None if the secret holds it.
    """

    docker_key: str
    digests: tuple[str, ...]
    expires_at: datetime | None = None
    ends: Mapping[str, datetime | None] = field(default_factory=dict)
    source: str | None = None

    def end_of(self, digest: str) -> datetime | None:
        """When the login with this digest ends. Version 1.0.0 records only one end."""
        return self.ends.get(digest, self.expires_at)


@dataclass(frozen=True, slots=True)
class AppliedLogin:
    """Where a login is stored. Not `ours`: another login is there, and stays. The board already shows `problems`."""

    stored_in: str
    problems: tuple[Problem, ...]
    ours: bool


class StoreNews(NamedTuple):
    """What the task of a login needs to know about Docker's store.

    `unusable` is why Docker's next pull uses no login that works. `unstored` is why the last attempt could not store
    its login, until the store works. `foreign`: Docker uses a login that the agent did not store.
    """

    unusable: Problem | None = None
    unstored: Problem | None = None
    foreign: bool = False


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
