"""What must outlive a restart of the agent: which stored logins are its own, and who said no until when."""

from dataclasses import dataclass
from datetime import datetime

from agent.model.problem import RetryClass


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """The login that the agent keeps for one registry.

    `digests` are keyed hashes of it, the newest first, and of those that it kept there before.
    """

    docker_key: str
    digests: tuple[str, ...]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A login that was refused or put off: with what (a fingerprint), why, and when it may be tried again (UTC)."""

    fingerprint: str
    code: str
    message: str
    hint: str
    not_before: datetime
    retry_class: RetryClass = RetryClass.REJECTED
