"""The result of one check, and a collector for the results of a chain of checks."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from agent.model.problem import Needs, Problem, ProblemError, Severity
from agent.model.problems.environment import SecretInvalid, StatusListenFailed
from agent.model.problems.stored_login import LoginOverridden
from agent.services.overrides import concerns_only_podman

AGENT: Final = "agent"
"""The name of the checks that repeat what a running agent reports."""
SHARED_CHECKS: Final = ("settings", "secrets", "docker cli", "aws cli", "engine", AGENT, "configuration")
AWS_CHECKS: Final = ("aws identity", "token", "token life")
NETWORK_CHECKS: Final = ("dns", "tcp", "proxy", "tls")
SERVER_CHECKS: Final = ("clock", "/v2/")
REGISTRY_CHECKS: Final = (
    *("secret", AGENT, "store", "in use"),
    *NETWORK_CHECKS,
    *SERVER_CHECKS,
    *AWS_CHECKS,
    *("login", "pull"),
)
_AFFECT_OTHERS: Final = frozenset({SecretInvalid.code, StatusListenFailed.code})
"""No login of another registry fails because of these."""


def identity_check(issuer: str) -> str:
    """The name of the check of an identity in a cloud."""
    return f"{issuer.lower()} identity"


def registry_checks(issuer: str) -> tuple[str, ...]:
    """The checks of a registry whose password comes from this cloud."""
    return tuple(identity_check(issuer) if issuer and name == AWS_CHECKS[0] else name for name in REGISTRY_CHECKS)


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    BROKEN = "broken"
    NOT_REACHED = "not reached"
    """An earlier check failed, or the time ran out."""
    SKIPPED = "skipped"
    """The check does not apply, or it looks for something that is missing and not needed."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check: what it found (`message`), and how to fix it if it failed (`fix`).

    `code` is a warning code, or None if no code fits.
    """

    name: str
    outcome: Outcome
    message: str
    code: str | None = None
    severity: Severity | None = None
    fix: str | None = None
    needs: Needs | None = None

    @property
    def broken(self) -> bool:
        return self.outcome is Outcome.BROKEN

    def as_json(self, scrub: Callable[[str], str]) -> dict[str, Any]:
        """One element of `links` in the schema. `scrub` masks secrets that another program repeated."""
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "seen": scrub(self.message),
            "code": self.code,
            "severity": self.severity.value if self.severity else None,
            "fix": scrub(self.fix) if self.fix else None,
            "needs": self.needs.value if self.needs else None,
        }


def passed(name: str, message: str) -> Check:
    return Check(name, Outcome.OK, message)


def skipped(name: str, message: str, fix: str | None = None) -> Check:
    return Check(name, Outcome.SKIPPED, message, fix=fix)


def not_reached(name: str, reason: str) -> Check:
    return Check(name, Outcome.NOT_REACHED, reason)


def broken(name: str, message: str, fix: str, needs: Needs = Needs.USER) -> Check:
    """A failed check that has no warning code."""
    return Check(name, Outcome.BROKEN, message, fix=fix, needs=needs)


def from_problem(name: str, problem: Problem, *, notice: Outcome = Outcome.OK) -> Check:
    """A check with the same message, code and hint as the status shows.

    A problem of severity "notice" does not fail the check: its outcome is `notice`.
    """
    outcome = notice if problem.severity is Severity.NOTICE else Outcome.BROKEN
    return Check(name, outcome, problem.message, problem.code, problem.severity, problem.hint, problem.needs)


def with_more(check: Check, more: str) -> Check:
    return replace(check, message=f"{check.message}; {more}")


def is_cause(check: Check) -> bool:
    """Whether a failed check can be the reason why a registry has no login. Without a code, it may be a consequence."""
    return check.code is not None and check.code not in _AFFECT_OTHERS


def rank(check: Check) -> tuple[int, int]:
    """The order in which to fix failed checks: lower comes first.

    Of the causes, those that the agent reports come first. It has all the facts, and the doctor may only see their
    consequences.
    """
    kind = 0 if is_cause(check) else 1 if check.code else 2
    # Docker comes first: it still uses the right login, only podman does not.
    if check.code == LoginOverridden.code and concerns_only_podman(check.message):
        kind = 3
    if check.name != AGENT:
        return kind, 2
    # A warning is being retried, but an error stays until a person acts.
    return kind, 0 if check.severity is Severity.ERROR else 1


class CheckRun:
    """Collects the results of the checks in `names`, and returns them in that order.

    Checks run concurrently, so their results arrive in any order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        # A check can have several results: each wrong setting or secret is one of its own.
        self._results: Final[dict[str, list[Check]]] = {name: [] for name in names}

    def add(self, *checks: Check) -> bool:
        """Add results. Returns whether none of them failed, so that later checks can run."""
        for check in checks:
            self._results[check.name].append(check)
        return not any(check.broken for check in checks)

    async def check(self, name: str, work: Awaitable[Check]) -> bool:
        """Await `work` and add its result. If it raises a problem, that problem is the result."""
        try:
            result = await work
        except ProblemError as error:
            result = from_problem(name, error.problem)
        return self.add(result)

    def checks(self, *, late: bool = False) -> tuple[Check, ...]:
        """All results in order. A check without a result gets the outcome "not reached".

        If the time ran out (`late`), the first check without a result is broken: the others waited for it.
        Otherwise a report without any results would count as a success.
        """
        reason = "the time ran out" if late else "an earlier check failed"
        checks: list[Check] = []
        for name, results in self._results.items():
            checks += results or [_timed_out(name) if late else not_reached(name, reason)]
            late = late and bool(results)
        return tuple(checks)


def _timed_out(name: str) -> Check:
    fix = "run the doctor again; if this check fails again, check the server or file system that it waits for"
    return broken(name, "no answer before the doctor's time ran out", fix, Needs.NOBODY)
