"""The parts of the status document, as frozen values: phase, tools, registries, warnings."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from agent.model.problem import Needs, Problem, Severity
from agent.model.text import printable

CLEARED_KEPT: Final = 50


class Phase(StrEnum):
    """The phase of the agent. `running` begins when every registry was attempted once or skipped."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Condition(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    ERROR = "error"


class State(StrEnum):
    """The state of a registry's login."""

    PENDING = "pending"
    LOGGED_IN = "logged_in"
    RETRYING = "retrying"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SKIPPED = "skipped"


class Engine(StrEnum):
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    UNRESPONSIVE = "unresponsive"
    UNKNOWN = "unknown"


class Flavor(StrEnum):
    """Which docker logs in. `podman`: docker is podman, or podman alone is installed."""

    DOCKER = "docker"
    PODMAN = "podman"
    SNAP = "snap"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on PATH: its path, and the version that it prints. Both are None if it is not there."""

    path: str | None = None
    version: str | None = None

    @property
    def present(self) -> bool:
        return self.path is not None


@dataclass(frozen=True, slots=True)
class Tools:
    docker: Tool = Tool()
    aws: Tool = Tool()
    engine: Engine = Engine.UNKNOWN
    podman: Tool = Tool()
    flavor: Flavor = Flavor.DOCKER

    def as_json(self) -> dict[str, Any]:
        docker, aws, podman = (
            {
                "present": tool.present,
                # The name of a directory on PATH may contain control characters.
                "path": tool.path and printable(tool.path, 4096),
                "version": tool.version,
            }
            for tool in (self.docker, self.aws, self.podman)
        )
        return {
            "docker": {**docker, "engine": self.engine.value, "flavor": self.flavor.value},
            "aws": aws,
            "podman": podman,
        }


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """One registry in the status document. Times are aware and in UTC. None becomes null."""

    hostname: str
    secret: str
    scope: str
    kind: str
    changed_at: datetime
    state: State = State.PENDING
    identity: str | None = None
    logged_in_at: datetime | None = None
    expires_at: datetime | None = None
    renew_at: datetime | None = None
    next_attempt_at: datetime | None = None
    attempt_id: str | None = None
    attempting: bool = False
    attempts: int = 0
    consecutive_failures: int = 0
    last_error: str | None = None
    stored_in: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "hostname": self.hostname,
            "secret": self.secret,
            "scope": self.scope,
            "kind": self.kind,
            "identity": self.identity,
            "state": self.state.value,
            "changed_at": rfc3339(self.changed_at),
            "logged_in_at": rfc3339(self.logged_in_at),
            "expires_at": rfc3339(self.expires_at),
            "renew_at": rfc3339(self.renew_at),
            "next_attempt_at": rfc3339(self.next_attempt_at),
            "attempt_id": self.attempt_id,
            "attempting": self.attempting,
            "attempts": self.attempts,
            "consecutive_failures": self.consecutive_failures,
            "last_error": self.last_error,
            "stored_in": self.stored_in,
        }


@dataclass(frozen=True, slots=True)
class OpenWarning:
    """A problem that exists now, since when, and how often it was reported."""

    code: str
    severity: Severity
    subject: str
    message: str
    hint: str
    needs: Needs
    first_seen: datetime
    last_seen: datetime
    count: int

    @classmethod
    def of(cls, problem: Problem, now: datetime, former: "OpenWarning | None") -> "OpenWarning":
        return cls(
            code=problem.code,
            severity=problem.severity,
            subject=problem.subject,
            message=problem.message,
            hint=problem.hint,
            needs=problem.needs,
            first_seen=former.first_seen if former else now,
            last_seen=now,
            count=former.count + 1 if former else 1,
        )

    @property
    def key(self) -> tuple[str, str]:
        return (self.code, self.subject)

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity.value,
            "subject": self.subject,
            "message": self.message,
            "hint": self.hint,
            "needs": self.needs.value,
            "first_seen": rfc3339(self.first_seen),
            "last_seen": rfc3339(self.last_seen),
            "count": self.count,
        }


@dataclass(frozen=True, slots=True)
class ClearedWarning:
    warning: OpenWarning
    cleared_at: datetime

    def as_json(self) -> dict[str, Any]:
        return {**self.warning.as_json(), "cleared_at": rfc3339(self.cleared_at)}


@dataclass(frozen=True, slots=True)
class ClockJumps:
    jumps: int = 0
    last_jump_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        return {"jumps": self.jumps, "last_jump_at": rfc3339(self.last_jump_at)}


def rfc3339(moment: datetime | None) -> str | None:
    """Format a time in UTC with a Z, to the second. None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
