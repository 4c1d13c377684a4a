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

    def as_json(self) -> dict[str, Any]:
        # The name of a directory on PATH may contain control characters.
        path = self.path and printable(self.path, 4096)
        return {"present": self.present, "path": path, "version": self.version}


@dataclass(frozen=True, slots=True)
class Tools:
    docker: Tool = Tool()
    aws: Tool = Tool()
    engine: Engine = Engine.UNKNOWN
    podman: Tool = Tool()
    """The podman that logs in. Next to a docker that logs in, podman does not matter, and is not looked for."""
    flavor: Flavor = Flavor.DOCKER

    def as_json(self) -> dict[str, Any]:
        docker = {**self.docker.as_json(), "engine": self.engine.value, "flavor": self.flavor.value}
        return {"docker": docker, "aws": self.aws.as_json(), "podman": self.podman.as_json()}


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
        first, count = (former.first_seen, former.count + 1) if former else (now, 1)
        p = problem
        return cls(p.code, p.severity, p.subject, p.message, p.hint, p.needs, first, now, count)

    @property
    def key(self) -> tuple[str, str]:
        return (self.code, self.subject)


@dataclass(frozen=True, slots=True)
class ClearedWarning:
    warning: OpenWarning
    cleared_at: datetime


@dataclass(frozen=True, slots=True)
class ClockJumps:
    jumps: int = 0
    last_jump_at: datetime | None = None


def as_json(row: RegistryStatus | OpenWarning | ClockJumps) -> dict[str, Any]:
    """Return a row of the document. Its fields have the names that the interface promises."""
    return {name: _plain(getattr(row, name)) for name in row.__slots__}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    return value.value if isinstance(value, StrEnum) else value


def rfc3339(moment: datetime | None) -> str | None:
    """Format a time in UTC with a Z, to the second. None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
