"""What the status document shows (schema `registry-agent/status/v1`): frozen values, and the words that sum them up."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from agent.model.problem import Needs, Problem, Severity

SCHEMA: Final = "registry-agent/status/v1"
CLEARED_KEPT: Final = 50


class Phase(StrEnum):
    """`running` begins when every registry was attempted once or skipped."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Condition(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    ERROR = "error"


class State(StrEnum):
    """Where a registry's login stands."""

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


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on PATH: where, and which version it says it is. Both None: it is not there."""

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

    def as_json(self) -> dict[str, Any]:
        docker, aws = (
            {"present": tool.present, "path": tool.path, "version": tool.version} for tool in (self.docker, self.aws)
        )
        return {"docker": {**docker, "engine": self.engine.value}, "aws": aws}


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """One registry's row. Times are aware and in UTC; None is null."""

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
    """A problem that is true now, since when, and how often it was seen."""

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


@dataclass(frozen=True, slots=True)
class Process:
    """What stays the same as long as the process lives."""

    version: str
    start_id: str
    started_at: datetime
    invocation_id: str | None
    environment_id: str
    user: str
    host: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the status document says, at one revision."""

    process: Process
    revision: int = 0
    phase: Phase = Phase.STARTING
    tools: Tools = field(default_factory=Tools)
    registries: tuple[RegistryStatus, ...] = ()
    warnings: tuple[OpenWarning, ...] = ()
    cleared: tuple[ClearedWarning, ...] = ()
    clock: ClockJumps = field(default_factory=ClockJumps)

    @property
    def etag(self) -> str:
        """Weak, since `now` and `uptime_s` move without a new revision."""
        return f'W/"{self.process.start_id}-{self.revision}"'

    @property
    def condition(self) -> Condition:
        return condition(self.warnings)

    @property
    def summary(self) -> str:
        return summary(self.registries, self.warnings)

    def as_json(self, now: datetime, uptime_s: float) -> dict[str, Any]:
        """The status document; `now` aware, `uptime_s` in seconds."""
        process = self.process
        return {
            "schema": SCHEMA,
            "version": process.version,
            "revision": self.revision,
            "now": rfc3339(now),
            "started_at": rfc3339(process.started_at),
            "uptime_s": round(uptime_s, 1),
            "invocation_id": process.invocation_id,
            "environment": {"id": process.environment_id, "user": process.user, "host": process.host},
            "phase": self.phase.value,
            "condition": self.condition.value,
            "summary": self.summary,
            "tools": self.tools.as_json(),
            "registries": [registry.as_json() for registry in self.registries],
            "warnings": [warning.as_json() for warning in self.warnings],
            "cleared": [cleared.as_json() for cleared in self.cleared],
            "clock": self.clock.as_json(),
        }


def rfc3339(moment: datetime | None) -> str | None:
    """UTC with a Z, to the second; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def condition(warnings: Iterable[OpenWarning]) -> Condition:
    severities = {warning.severity for warning in warnings}
    if Severity.ERROR in severities:
        return Condition.ERROR
    return Condition.DEGRADED if Severity.WARNING in severities else Condition.HEALTHY


def summary(registries: Iterable[RegistryStatus], warnings: Iterable[OpenWarning]) -> str:
    """One line, such as `2 of 3 registries logged in, 1 warning`."""
    states = [registry.state for registry in registries]
    if not states:
        parts = ["no registry secrets"]
    else:
        # Always in the plural: people's scripts read this line, too.
        parts = [f"{states.count(State.LOGGED_IN)} of {len(states)} registries logged in"]
    severities = [warning.severity for warning in warnings]
    for severity in (Severity.ERROR, Severity.WARNING):
        number = severities.count(severity)
        if number:
            parts.append(f"{number} {severity.value}{'s' if number > 1 else ''}")
    return ", ".join(parts)
