"""One link of the chain, and a walk along several of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from agent.model.problem import Needs, Problem, Severity
from agent.model.problems.surroundings import SecretInvalid


class Outcome(StrEnum):
    """What a look at a link came to."""

    OK = "ok"
    BROKEN = "broken"
    NOT_REACHED = "not reached"
    """An earlier link is broken, or the time was over."""
    SKIPPED = "skipped"
    """It does not apply, or is missing and not needed."""


@dataclass(frozen=True, slots=True)
class Link:
    """What was `seen` of one link, and the `fix` where there is one; `code` is a warning code, None where none fits."""

    name: str
    outcome: Outcome
    seen: str
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
            "seen": scrub(self.seen),
            "code": self.code,
            "severity": self.severity.value if self.severity else None,
            "fix": scrub(self.fix) if self.fix else None,
            "needs": self.needs.value if self.needs else None,
        }


def well(name: str, seen: str) -> Link:
    return Link(name, Outcome.OK, seen)


def skipped(name: str, seen: str, fix: str | None = None) -> Link:
    return Link(name, Outcome.SKIPPED, seen, fix=fix)


def not_reached(name: str, because: str) -> Link:
    return Link(name, Outcome.NOT_REACHED, because)


def broken(name: str, seen: str, fix: str, needs: Needs = Needs.USER) -> Link:
    """A link that no warning code tells of."""
    return Link(name, Outcome.BROKEN, seen, fix=fix, needs=needs)


def from_problem(name: str, problem: Problem, *, notice: Outcome = Outcome.OK) -> Link:
    """In the status's own words. A notice breaks nothing: it is a remark at a link that is `notice`."""
    outcome = notice if problem.severity is Severity.NOTICE else Outcome.BROKEN
    return Link(name, outcome, problem.message, problem.code, problem.severity, problem.hint, problem.needs)


class Walk:
    """Takes links as they are found; those that nobody reached are told so, each in its place of `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._found: Final[dict[str, list[Link]]] = {name: [] for name in names}

    def add(self, *links: Link) -> bool:
        """Whether one may go on: none of them is broken."""
        for link in links:
            self._found[link.name].append(link)
        return not any(link.broken for link in links)

    async def look(self, name: str, work: Awaitable[Link]) -> bool:
        """Wait for what `work` finds; a problem that it raises is what was found."""
        try:
            link = await work
        except Problem as problem:
            link = from_problem(name, problem)
        return self.add(link)

    def links(self, *, late: bool = False) -> tuple[Link, ...]:
        """All of them in order; `late`: the time was over, so that the first that is missing has kept everybody."""
        because = "the time was over" if late else "an earlier link is broken"
        links: list[Link] = []
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


def first_broken(links: Sequence[Link]) -> Link | None:
    """The one to mend first."""
    return min((link for link in links if link.broken), key=rank, default=None)


def rank(link: Link) -> int:
    """Lower goes first: what has a code is a cause, what has none may be its consequence.

    A secret that cannot be used costs its own registry alone, whose chain then has no secret, and no code for that.
    """
    if link.code is None:
        return 2
    return 1 if link.code == SecretInvalid.code else 0


def with_more(link: Link, more: str) -> Link:
    return replace(link, seen=f"{link.seen}; {more}")
