"""The status document (schema `registry-agent/status/v1`) at one revision, and its one-line summary."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from agent.model.problem import Severity, fault_key
from agent.model.status import (
    ClearedWarning,
    ClockJumps,
    Condition,
    OpenWarning,
    Phase,
    RegistryStatus,
    State,
    Tools,
    as_json,
    rfc3339,
)

SCHEMA: Final = "registry-agent/status/v1"


@dataclass(frozen=True, slots=True)
class Process:
    """Facts about the process that never change while it runs."""

    version: str
    start_id: str
    started_at: datetime
    invocation_id: str | None
    environment_id: str
    user: str
    host: str


@dataclass(frozen=True, slots=True)
class Snapshot:
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
        """The ETag. It is weak, because `now` and `uptime_s` change without a new revision."""
        return f'W/"{self.process.start_id}-{self.revision}"'

    @property
    def condition(self) -> Condition:
        severities = {warning.severity for warning in self.warnings}
        if Severity.ERROR in severities:
            return Condition.ERROR
        return Condition.DEGRADED if Severity.WARNING in severities else Condition.HEALTHY

    @property
    def summary(self) -> str:
        return summary(self.registries, self.warnings)

    def as_json(self, now: datetime, uptime_s: float) -> dict[str, Any]:
        """Return the status document. `now` must be aware; `uptime_s` is in seconds."""
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
            "registries": [as_json(registry) for registry in self.registries],
            "warnings": [as_json(warning) for warning in self.warnings],
            "cleared": [as_json(row.warning) | {"cleared_at": rfc3339(row.cleared_at)} for row in self.cleared],
            "clock": as_json(self.clock),
        }


def summary(registries: Iterable[RegistryStatus], warnings: Iterable[OpenWarning]) -> str:
    """Return a summary on one line, such as `2 of 3 registries logged in, 1 warning`."""
    states = [registry.state for registry in registries]
    if not states:
        parts = ["no registry secrets"]
    else:
        # Always plural, because scripts read this line too.
        parts = [f"{states.count(State.LOGGED_IN)} of {len(states)} registries logged in"]
    # The same fault of several registries is shown once, so it counts once.
    severities = [severity for severity, *_ in {_fault(warning) for warning in warnings}]
    for severity in (Severity.ERROR, Severity.WARNING):
        number = severities.count(severity.value)
        if number:
            parts.append(f"{number} {severity.value}{'s' if number > 1 else ''}")
    return ", ".join(parts)


def _fault(warning: OpenWarning) -> tuple[str, ...]:
    return fault_key(warning.subject, warning.severity.value, warning.code, warning.message, warning.hint)
