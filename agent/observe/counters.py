"""Counts the log's events for Prometheus: outcomes, and how long they took.

The log receives every outcome. Nothing else counts, so the log and the metrics cannot disagree.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
BOUNDS_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Histogram bounds. A local registry takes 0.1 s, a distant one a few seconds; the longest default deadline is 30 s."""
_REGISTRIES: Final = 2000
"""More registries than an agent ever serves. Beyond this number, the counts of the oldest ones are dropped."""
_ENDS: Final[Mapping[str, tuple[str, str]]] = {
    "login.succeeded": ("login", SUCCEEDED),
    "login.failed": ("login", FAILED),
    "token.obtained": ("token", SUCCEEDED),
    "token.failed": ("token", FAILED),
    "report.sent": ("report", SUCCEEDED),
    "report.failed": ("report", FAILED),
}
_ANSWERS: Final = frozenset({"credential.answered", "credential.forbidden"})


@dataclass(slots=True)
class Durations:
    """A histogram. `counts` has one more item than `BOUNDS_S`, for everything above the last bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


class Counters:
    """The counts. The log fills them before it filters by level, so `log.level` does not change them."""

    def __init__(self) -> None:
        self.attempts: Final[Counter[tuple[str, str]]] = Counter()
        """Logins by registry and outcome: `succeeded`, or the code of the warning."""
        self.outcomes: Final[Counter[tuple[str, str]]] = Counter()
        """Tokens (`token`), pushes (`report`) and answers of the credential helper (`credential`) by outcome."""
        self.durations: Final[dict[tuple[str, str], Durations]] = {
            (what, how): Durations() for what, how in _ENDS.values()
        }

    def count(self, event: MutableMapping[str, Any]) -> None:
        """Count one event. Most events do not matter here."""
        if event.get("event") in _ANSWERS:
            self.outcomes["credential", event.get("outcome", "forbidden")] += 1
            return
        what, how = _ENDS.get(event.get("event", ""), (None, ""))
        if what is None:
            return
        outcome = event.get("code", FAILED) if how == FAILED else SUCCEEDED
        if what == "login":
            self.attempts[event.get("registry", ""), outcome] += 1
            if len(self.attempts) > _REGISTRIES:
                # A dict keeps the order of insertion, so the first key is the oldest.
                del self.attempts[next(iter(self.attempts))]
        else:
            self.outcomes[what, outcome] += 1
        if (seconds := event.get("seconds")) is not None:
            self.durations[what, how].add(seconds)
