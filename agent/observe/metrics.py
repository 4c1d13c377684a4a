"""Renders the board's snapshot as Prometheus metrics, on each scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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


class Metrics:
    """Renders snapshots and counters. `dropped` returns the number of log lines lost so far."""

    def __init__(self, counters: Counters, dropped: Callable[[], int]) -> None:
        self._counters: Final = counters
        self._dropped: Final = dropped

    def render(self, snapshot: Snapshot) -> tuple[bytes, str]:
        """Return the Prometheus text and its content type. The first call loads the library, so call it in a thread."""
        from prometheus_client import exposition  # noqa: PLC0415 - without scrapes, the agent never loads it

        collector = _Collector(snapshot, self._counters, self._dropped())
        return exposition.generate_latest(collector), exposition.CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    """Converts one snapshot and the counts so far into the library's metrics."""

    def __init__(self, snapshot: Snapshot, counters: Counters, dropped: int) -> None:
        self._snapshot: Final = snapshot
        self._counters: Final = counters
        self._dropped: Final = dropped

    def collect(self) -> "Iterator[Metric]":
        yield from self._agent()
        yield from self._warnings()
        yield from self._registries()
        yield from self._outcomes()

    def _agent(self) -> "Iterator[Metric]":
        snapshot = self._snapshot
        process = snapshot.process
        yield _gauge("build_info", "The version of the agent", ("version",), [((process.version,), 1)])
        yield _gauge("start_time_seconds", "When the agent started", (), [((), process.started_at.timestamp())])
        yield _one_of("phase", "1 for the phase that the agent is in", Phase, snapshot.phase)
        yield _one_of("condition", "1 for the condition that the agent is in", Condition, snapshot.condition)
        tools = snapshot.tools
        present = [(("docker",), float(tools.docker.present)), (("aws",), float(tools.aws.present))]
        yield _gauge("tool_present", "1 if the program is on PATH", ("tool",), present)
        yield _counter(
            "clock_jumps", "How often the clock jumped or the machine was suspended", (), [((), snapshot.clock.jumps)]
        )
        yield _counter("log_dropped", "Log lines lost because nothing read them", (), [((), self._dropped)])

    def _warnings(self) -> "Iterator[Metric]":
        counts = Counter((warning.code, warning.severity.value) for warning in self._snapshot.warnings)
        yield _gauge("warnings", "Open warnings", ("code", "severity"), sorted(counts.items()))

    def _registries(self) -> "Iterator[Metric]":
        rows = self._snapshot.registries
        states = Counter(row.state for row in rows)
        yield _gauge("registries", "Registries in each state", ("state",), [((s.value,), states[s]) for s in State])
        by_row: list[tuple[str, str, Callable[[RegistryStatus], float | None]]] = [
            ("logged_in", "1 while the login is valid", lambda row: row.state is State.LOGGED_IN),
            (
                "consecutive_failures",
                "Attempts that failed since the last success",
                lambda row: row.consecutive_failures,
            ),
            ("logged_in_timestamp_seconds", "When the last login worked", lambda row: _seconds(row.logged_in_at)),
            ("expires_timestamp_seconds", "When the login expires", lambda row: _seconds(row.expires_at)),
            ("renew_timestamp_seconds", "When the agent plans to renew the login", lambda row: _seconds(row.renew_at)),
        ]
        for name, meaning, value in by_row:
            samples = [((row.hostname,), number) for row in rows if (number := value(row)) is not None]
            yield _gauge(f"registry_{name}", meaning, ("hostname",), samples)

    def _outcomes(self) -> "Iterator[Metric]":
        """Counters change in the event loop while a thread renders. `dict(...)` copies them in one step."""
        # Registries that are gone are left out, so the number of time series stays small.
        served = {row.hostname for row in self._snapshot.registries}
        attempts = [(names, number) for names, number in dict(self._counters.attempts).items() if names[0] in served]
        labels = ("hostname", "outcome")
        yield _counter("registry_attempts", "Finished logins, by warning code if they failed", labels, attempts)
        outcomes = dict(self._counters.outcomes)
        for what, name, meaning in (
            ("token", "token_requests", "Requests for ECR tokens, by warning code if they failed"),
            ("report", "pushes", "Pushes of the status, by warning code if they failed"),
        ):
            of_these = [((outcome,), number) for (kind, outcome), number in outcomes.items() if kind == what]
            yield _counter(name, meaning, ("outcome",), of_these)
        for what, name, meaning in (
            ("login", "login_duration_seconds", "How long logins took, including tokens and waiting for a slot"),
            ("token", "token_duration_seconds", "How long AWS took to issue an ECR token"),
            ("report", "push_duration_seconds", "How long the pushes of the status took"),
        ):
            yield self._histogram(what, name, meaning)

    def _histogram(self, what: str, name: str, meaning: str) -> "Metric":
        from prometheus_client.metrics_core import HistogramMetricFamily  # noqa: PLC0415 - as above

        family = HistogramMetricFamily(_PREFIX + name, meaning, labels=("outcome",))
        for (kind, outcome), durations in self._counters.durations.items():
            if kind == what:
                numbers = list(accumulate(durations.counts))
                bounds = [*map(str, BOUNDS_S), "+Inf"]
                family.add_metric((outcome,), list(zip(bounds, numbers, strict=True)), durations.total_s)
        return family


_Samples = Iterable[tuple[tuple[str, ...], float]]


def _gauge(name: str, meaning: str, labels: tuple[str, ...], samples: _Samples) -> "Metric":
    from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415 - as above

    family = GaugeMetricFamily(_PREFIX + name, meaning, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _counter(name: str, meaning: str, labels: tuple[str, ...], samples: _Samples) -> "Metric":
    """Return a counter. The library adds `_total` to its name."""
    from prometheus_client.metrics_core import CounterMetricFamily  # noqa: PLC0415 - as above

    family = CounterMetricFamily(_PREFIX + name, meaning, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _one_of(name: str, meaning: str, words: type[StrEnum], current: StrEnum) -> "Metric":
    return _gauge(name, meaning, (name,), [((word.value,), float(word is current)) for word in words])


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
