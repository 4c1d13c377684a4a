"""What a running agent reports: its status document, reduced to what the doctor repeats."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.doctor.check import AGENT, Check, Outcome, is_cause, passed, skipped
from agent.model.problem import Needs, Severity
from agent.model.problems.stored_login import LoginOverridden
from agent.model.status import State
from agent.model.text import printable

_ASK_STATUS: Final = "run `registry-agent status` for details"
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AgentRow:
    """What the agent reports about one registry. All text is printable."""

    state: str
    secret: str
    last_error: str
    stored_in: str


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """`reasons` are the warnings because of which the agent is not healthy, each with its subject."""

    user: str
    headline: str
    rows: Mapping[str, AgentRow]
    reasons: tuple[tuple[str, Check], ...]
    overridden: frozenset[str]
    """The registries for which something is used instead of the agent's login, even if that is only a notice."""

    @property
    def shared_reasons(self) -> list[Check]:
        """The reasons that are about no registry, but for example about docker or its configuration."""
        return [check for subject, check in self.reasons if subject not in self.rows]

    def reasons_about(self, hostname: str) -> list[Check]:
        return [check for subject, check in self.reasons if subject == hostname]

    def report(self, hostname: str) -> list[Check]:
        """What the agent reports about a registry. Each reason fails a check, because the status is not healthy."""
        row = self.rows.get(hostname)
        if row is None:
            return [skipped(AGENT, "the running agent does not know this registry")]
        seen = f"reports {row.state.replace('_', ' ')}"
        # The state next to the reason: "retrying" and "logged in" with the same warning need different urgency.
        reasons = [replace(reason, message=f"{seen}: {reason.message}") for reason in self.reasons_about(hostname)]
        return reasons or [passed(AGENT, f"{seen}: {row.last_error}" if row.last_error else seen)]

    def explains(self, hostname: str) -> bool:
        """Whether the agent reports a cause because of which this registry may have no login."""
        return any(is_cause(check) for check in (*self.reasons_about(hostname), *self.shared_reasons))

    def is_logged_in(self, hostname: str) -> bool:
        row = self.rows.get(hostname)
        return row is not None and row.state == State.LOGGED_IN

    def stores_login(self, hostname: str) -> bool:
        """Whether the login that Docker finds for the registry is the agent's."""
        return self.is_logged_in(hostname) and hostname not in self.overridden


def parse_status(document: Json) -> AgentStatus:
    """Parse a status document of any version, from a program that may not be an agent.

    Raises:
        KeyError, TypeError: it is no status document.
    """
    # Another version of the agent, or another program, may have sent it. Whatever cannot be used is left out.
    registries = [row for row in _objects(document.get("registries")) if isinstance(row.get("hostname"), str)]
    warnings = _objects(document.get("warnings"))
    return AgentStatus(
        user=printable(str(document["environment"]["user"]), 64),
        headline=f"{printable(str(document['condition']), 20)}, {printable(str(document['summary']))}",
        rows={row["hostname"]: _row(row) for row in registries},
        reasons=tuple(
            (str(each.get("subject")), _reason(each)) for each in warnings if each.get("severity") != Severity.NOTICE
        ),
        overridden=frozenset(str(each.get("subject")) for each in warnings if each.get("code") == LoginOverridden.code),
    )


def _objects(value: object) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _row(row: Json) -> AgentRow:
    state, secret, stored_in = _text(row, "state", 40), _text(row, "secret", 127), _text(row, "stored_in", 40)
    return AgentRow(state, secret, _text(row, "last_error", 400), stored_in)


def _reason(warning: Json) -> Check:
    """The warning as a failed check. An owner that this version does not know counts as `user`, as in the status."""
    needs = str(warning.get("needs"))
    return Check(
        AGENT,
        Outcome.BROKEN,
        _text(warning, "message", 600) or "a problem without a message",
        _text(warning, "code", 60) or None,
        Severity.ERROR if warning.get("severity") == Severity.ERROR else Severity.WARNING,
        _text(warning, "hint", 1000) or _ASK_STATUS,
        Needs(needs) if needs in [*Needs] else Needs.USER,
    )


def _text(fields: Json, name: str, limit: int) -> str:
    value = fields.get(name)
    return "" if value is None else printable(str(value), limit)
