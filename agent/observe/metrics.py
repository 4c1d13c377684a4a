"""Renders the board's snapshot as Prometheus metrics, on each scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from agent.model.snapshot import Snapshot
from agent.model.status import Condition, Phase, RegistryStatus, State
from agent.observe.counters import BOUNDS_S, Counters

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_PREFIX: Final = "registry_agent_"
_Value = Callable[[RegistryStatus], float | None]
_OF_REGISTRIES: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("logged_in", "1 while the login is valid", lambda row: row.state is State.LOGGED_IN),
    ("consecutive_failures", "Attempts that failed since the last success", lambda row: row.consecutive_failures),
    ("logged_in_timestamp_seconds", "When the last login worked", lambda row: _seconds(row.logged_in_at)),
    ("expires_timestamp_seconds", "When the login expires", lambda row: _seconds(row.expires_at)),
    ("renew_timestamp_seconds", "When the agent plans to renew the login", lambda row: _seconds(row.renew_at)),
)
_OUTCOMES: Final = (
    ("token", "token_requests", "Requests for tokens, by warning code if they failed"),
    ("credential", "credential_requests", "Requests of the credential helper, by outcome"),
    ("report", "pushes", "Pushes of the status, by warning code if they failed"),
)
_DURATIONS: Final = (
    ("login", "login_duration_seconds", "How long logins took, including tokens and waiting for a slot"),
    ("token", "token_duration_seconds", "How long a request for a token took"),
    ("report", "push_duration_seconds", "How long the pushes of the status took"),
)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Renders snapshots and counters. `dropped` returns the number of log lines lost so far."""

    counters: Counters
    dropped: Callable[[], int]

    def render(self, snapshot: Snapshot) -> tuple[bytes, str]:
        """Return the Prometheus text and its content type. The first call loads the library, so call it in a thread."""
        from prometheus_client import exposition  # noqa: PLC0415 - without scrapes, the agent never loads it

        return exposition.generate_latest(_Collector(self, snapshot)), exposition.CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class _Collector:
    """Converts one snapshot and the counts so far into the library's metrics."""

    metrics: Metrics
    snapshot: Snapshot

    def collect(self) -> "Iterator[Metric]":
        yield from self._agent()
        yield from self._registries()
        yield from self._outcomes()

    def _agent(self) -> "Iterator[Metric]":
        snapshot, tools = self.snapshot, self.snapshot.tools
        yield _gauge("build_info", "The version of the agent", [({"version": snapshot.process.version}, 1)])
        yield _gauge("start_time_seconds", "When the agent started", [({}, snapshot.process.started_at.timestamp())])
        yield _one_of("phase", "1 for the phase that the agent is in", Phase, snapshot.phase)
        yield _one_of("condition", "1 for the condition that the agent is in", Condition, snapshot.condition)
        present = [({"tool": "docker"}, tools.docker.present), ({"tool": "aws"}, tools.aws.present)]
        yield _gauge("tool_present", "1 if the program is on PATH", present)
        jumps: _Samples = [({}, snapshot.clock.jumps)]
        yield _counter("clock_jumps", "How often the clock jumped or the machine was suspended", jumps)
        yield _counter("log_dropped", "Log lines lost because nothing read them", [({}, self.metrics.dropped())])
        counts = Counter((warning.code, warning.severity.value) for warning in snapshot.warnings)
        warnings = [({"code": code, "severity": level}, number) for (code, level), number in sorted(counts.items())]
        yield _gauge("warnings", "Open warnings", warnings)

    def _registries(self) -> "Iterator[Metric]":
        rows = self.snapshot.registries
        states = Counter(row.state for row in rows)
        yield _gauge("registries", "Registries in each state", [({"state": s.value}, states[s]) for s in State])
        for name, meaning, value in _OF_REGISTRIES:
            samples = [({"hostname": row.hostname}, number) for row in rows if (number := value(row)) is not None]
            yield _gauge(f"registry_{name}", meaning, samples)

    def _outcomes(self) -> "Iterator[Metric]":
        """Counters change in the event loop while a thread renders. `dict(...)` copies them in one step."""
        # Registries that are gone are left out, so the number of time series stays small.
        served = {row.hostname for row in self.snapshot.registries}
        attempts = [
            ({"hostname": hostname, "outcome": outcome}, number)
            for (hostname, outcome), number in dict(self.metrics.counters.attempts).items()
            if hostname in served
        ]
        yield _counter("registry_attempts", "Finished logins, by warning code if they failed", attempts)
        outcomes = dict(self.metrics.counters.outcomes)
        for what, name, meaning in _OUTCOMES:
            of_these = [({"outcome": outcome}, number) for (kind, outcome), number in outcomes.items() if kind == what]
            yield _counter(name, meaning, of_these)
        for what, name, meaning in _DURATIONS:
            yield self._histogram(what, name, meaning)

    def _histogram(self, what: str, name: str, meaning: str) -> "Metric":
        from prometheus_client.metrics_core import HistogramMetricFamily  # noqa: PLC0415 - as above

        family = HistogramMetricFamily(_PREFIX + name, meaning, labels=("outcome",))
        for (kind, outcome), durations in self.metrics.counters.durations.items():
            if kind == what:
                bounds = [*map(str, BOUNDS_S), "+Inf"]
                buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
                family.add_metric((outcome,), buckets, durations.total_s)
        return family


_Samples = Iterable[tuple[Mapping[str, str], float]]


def _gauge(name: str, meaning: str, samples: _Samples, *, kind: str = "gauge", suffix: str = "") -> "Metric":
    from prometheus_client.metrics_core import Metric  # noqa: PLC0415 - as above

    metric = Metric(_PREFIX + name, meaning, kind)
    for labels, number in samples:
        metric.add_sample(_PREFIX + name + suffix, dict(labels), number)
    return metric


def _counter(name: str, meaning: str, samples: _Samples) -> "Metric":
    return _gauge(name, meaning, samples, kind="counter", suffix="_total")


def _one_of(name: str, meaning: str, words: type[StrEnum], current: StrEnum) -> "Metric":
    return _gauge(name, meaning, [({name: word.value}, word is current) for word in words])


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
