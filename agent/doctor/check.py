"""One link of the chain, and a walk along several of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from agent.model.problem import Needs, Problem, ProblemError, Severity
from agent.model.problems.environment import SecretInvalid


class Outcome(StrEnum):
    """What a look at a link came to."""

    OK = "ok"
    BROKEN = "broken"
    NOT_REACHED = "not reached"
    """An earlier link is broken, or the time was over."""
    SKIPPED = "skipped"
    """It does not apply, or is missing and not needed."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was `seen` of one link, and the `fix` where there is one; `code` is a warning code, None where none fits."""

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
        """Of the schema; `scrub` masks secrets that somebody repeated."""
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "seen": scrub(self.message),
            "code": self.code,
            "severity": self.severity.value if self.severity else None,
            "fix": scrub(self.fix) if self.fix else None,
            "needs": self.needs.value if self.needs else None,
        }


def passed(name: str, seen: str) -> Check:
    return Check(name, Outcome.OK, seen)


def skipped(name: str, seen: str, fix: str | None = None) -> Check:
    return Check(name, Outcome.SKIPPED, seen, fix=fix)


def not_reached(name: str, because: str) -> Check:
    return Check(name, Outcome.NOT_REACHED, because)


def broken(name: str, seen: str, fix: str, needs: Needs = Needs.USER) -> Check:
    """A link that no warning code tells of."""
    return Check(name, Outcome.BROKEN, seen, fix=fix, needs=needs)


def from_problem(name: str, problem: Problem, *, notice: Outcome = Outcome.OK) -> Check:
    """In the status's own words. A notice breaks nothing: it is a remark at a link that is `notice`."""
    outcome = notice if problem.severity is Severity.NOTICE else Outcome.BROKEN
    return Check(name, outcome, problem.message, problem.code, problem.severity, problem.hint, problem.needs)


class CheckRun:
    """Takes links as they are found; those that nobody reached are told so, each in its place of `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._found: Final[dict[str, list[Check]]] = {name: [] for name in names}

    def add(self, *links: Check) -> bool:
        """Whether one may go on: none of them is broken."""
        for link in links:
            self._found[link.name].append(link)
        return not any(link.broken for link in links)

    async def check(self, name: str, work: Awaitable[Check]) -> bool:
        """Wait for what `work` finds; a problem that it raises is what was found."""
        try:
            link = await work
        except ProblemError as error:
            problem = error.problem
            link = from_problem(name, problem)
        return self.add(link)

    def checks(self, *, late: bool = False) -> tuple[Check, ...]:
        """All of them in order; `late`: the time was over, so that the first that is missing has kept everybody."""
        because = "the time was over" if late else "an earlier link is broken"
        links: list[Check] = []
        for name, found in self._found.items():
            if found:
                links += found
            elif late:
                fix = "try again; if it lasts, look at what this link asks"
                links.append(broken(name, "no answer before the doctor's time was over", fix, Needs.NOBODY))
                late = False
            else:
                links.append(not_reached(name, because))
        return tuple(links)


def first_broken(links: Sequence[Check]) -> Check | None:
    """The one to mend first."""
    return min((link for link in links if link.broken), key=rank, default=None)


def rank(link: Check) -> int:
    """Lower goes first: what has a code is a cause, what has none may be its consequence.

    A secret that cannot be used costs its own registry alone, whose chain then has no secret, and no code for that.
    """
    if link.code is None:
        return 2
    return 1 if link.code == SecretInvalid.code else 0


def with_more(link: Check, more: str) -> Check:
    return replace(link, message=f"{link.message}; {more}")
