"""What the log's events come to in numbers, for Prometheus: how often something came out how, and how long it took.

The log is the one place that hears of every outcome; so nobody counts beside it, and both cannot disagree.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
BOUNDS_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Of the durations: a local registry takes 0.1 s, a distant one a few, the longest deadline by default is 30 s."""
_REGISTRIES: Final = 2000
"""More than are ever served at a time; of those that went long ago the counts are forgotten."""
_ENDS: Final[Mapping[str, tuple[str, str]]] = {
    "login.succeeded": ("login", SUCCEEDED),
    "login.failed": ("login", FAILED),
    "token.obtained": ("token", SUCCEEDED),
    "token.failed": ("token", FAILED),
    "report.sent": ("report", SUCCEEDED),
    "report.failed": ("report", FAILED),
}


@dataclass(slots=True)
class Durations:
    """A histogram; `counts` has one more member than there are bounds, for what took longer."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


class Counters:
    """Filled by the log before any level filters, so it counts the same whatever `log.level` is."""

    def __init__(self) -> None:
        self.attempts: Final[Counter[tuple[str, str]]] = Counter()
        """Logins by registry and outcome: `succeeded`, or the code of the warning."""
        self.outcomes: Final[Counter[tuple[str, str]]] = Counter()
        """Tokens (`token`) and pushes (`report`) by outcome."""
        self.durations: Final[dict[tuple[str, str], Durations]] = {
            (what, how): Durations() for what, how in _ENDS.values()
        }

    def count(self, event: MutableMapping[str, Any]) -> None:
        """One event; most are of no account here."""
        what, how = _ENDS.get(event.get("event", ""), (None, ""))
        if what is None:
            return
        outcome = event.get("code", FAILED) if how == FAILED else SUCCEEDED
        if what == "login":
            self.attempts[event.get("registry", ""), outcome] += 1
            if len(self.attempts) > _REGISTRIES:
                del self.attempts[next(iter(self.attempts))]
        else:
            self.outcomes[what, outcome] += 1
        if (seconds := event.get("seconds")) is not None:
            self.durations[what, how].add(seconds)
