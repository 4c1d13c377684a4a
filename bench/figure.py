"""One line of the table: the values of the agent, the values of the other side, and the target."""

from dataclasses import dataclass
from statistics import median
from typing import Any, Final

_AT_LEAST: Final = "≥"
_AT_MOST: Final = "≤"


@dataclass(frozen=True, slots=True)
class Turn:
    """Two values, measured directly after each other. A machine that gets slow is then slow for both.

    `theirs` is None if there is nothing to compare with. Then the agent's own value counts.
    """

    ours: float
    theirs: float | None = None

    @property
    def value(self) -> float:
        return self.ours if self.theirs is None else self.ours / self.theirs


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement of the agent.

    Args:
        name: what is measured, in a few words; unique together with `beside`.
        beside: what the agent is compared with, in a few words; "-" for nothing.
        unit: of `ours` and `theirs`: `s`, `ms`, `kB`, `requests/s`, `calls`, `%` …
        reach: the target: a bound for the median of the values of all turns.
        turns: at least one.
        at_least: more is better.
        notes: further observations, one short sentence each.
    """

    name: str
    beside: str
    unit: str
    reach: float
    turns: tuple[Turn, ...]
    at_least: bool = False
    notes: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        return median(turn.value for turn in self.turns)

    @property
    def ours(self) -> float:
        return median(turn.ours for turn in self.turns)

    @property
    def theirs(self) -> float | None:
        theirs = [turn.theirs for turn in self.turns if turn.theirs is not None]
        return median(theirs) if theirs else None

    @property
    def reached(self) -> bool:
        return self.value >= self.reach if self.at_least else self.value <= self.reach

    @property
    def bound(self) -> str:
        return f"{_AT_LEAST if self.at_least else _AT_MOST} {self.reach:g}"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "beside": self.beside,
            "unit": self.unit,
            "value": self.value,
            "bound": self.bound,
            "reached": self.reached,
            "ours": [turn.ours for turn in self.turns],
            "theirs": [turn.theirs for turn in self.turns],
            "notes": list(self.notes),
        }
