"""What Prometheus reads: the board's snapshot as metrics, made when they are asked for."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from agent.model.snapshot import Snapshot
from agent.model.status import Condition, Phase, RegistryStatus, State

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_PREFIX: Final = "registry_agent_"


class Metrics:
    """Renders snapshots. `dropped` gives the log lines lost so far."""

    def __init__(self, dropped: Callable[[], int] | None = None) -> None:
        self._dropped: Final = dropped

    def render(self, snapshot: Snapshot) -> tuple[bytes, str]:
        """Prometheus text and its content type. The first call loads the library, so call it in a thread."""
        from prometheus_client import exposition  # noqa: PLC0415 - an agent that nobody scrapes never loads it

        dropped = self._dropped() if self._dropped else None
        return exposition.generate_latest(_Collector(snapshot, dropped)), exposition.CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    """One snapshot in the library's terms."""

    def __init__(self, snapshot: Snapshot, dropped: int | None) -> None:
        self._snapshot: Final = snapshot
        self._dropped: Final = dropped

    def collect(self) -> "Iterator[Metric]":
        yield from self._agent()
        yield from self._warnings()
        yield from self._registries()

    def _agent(self) -> "Iterator[Metric]":
        snapshot = self._snapshot
        process = snapshot.process
        yield _gauge("build_info", "The version that runs", ("version",), [((process.version,), 1)])
        yield _gauge("start_time_seconds", "When the agent started", (), [((), process.started_at.timestamp())])
        yield _one_of("phase", "1 for the phase that the agent is in", Phase, snapshot.phase)
        yield _one_of("condition", "1 for the condition that the agent is in", Condition, snapshot.condition)
        tools = snapshot.tools
        present = [(("docker",), float(tools.docker.present)), (("aws",), float(tools.aws.present))]
        yield _gauge("tool_present", "1 where the program is on PATH", ("tool",), present)
        yield _counter(
            "clock_jumps", "How often the clock jumped, or the machine slept", (), [((), snapshot.clock.jumps)]
        )
        if self._dropped is not None:
            yield _counter("log_dropped", "Log lines lost because nobody read them", (), [((), self._dropped)])

    def _warnings(self) -> "Iterator[Metric]":
        counts = Counter((warning.code, warning.severity.value) for warning in self._snapshot.warnings)
        yield _gauge("warnings", "Open warnings", ("code", "severity"), sorted(counts.items()))

    def _registries(self) -> "Iterator[Metric]":
        rows = self._snapshot.registries
        states = Counter(row.state for row in rows)
        yield _gauge("registries", "Registries in each state", ("state",), [((s.value,), states[s]) for s in State])
        by_row: list[tuple[str, str, Callable[[RegistryStatus], float | None]]] = [
            ("logged_in", "1 while the login is good", lambda row: row.state is State.LOGGED_IN),
            (
                "consecutive_failures",
                "Attempts that failed since the last success",
                lambda row: row.consecutive_failures,
            ),
            ("logged_in_timestamp_seconds", "When the last login worked", lambda row: _seconds(row.logged_in_at)),
            ("expires_timestamp_seconds", "When the login ends", lambda row: _seconds(row.expires_at)),
            ("renew_timestamp_seconds", "When the login is to be renewed", lambda row: _seconds(row.renew_at)),
        ]
        for name, meaning, value in by_row:
            samples = [((row.hostname,), number) for row in rows if (number := value(row)) is not None]
            yield _gauge(f"registry_{name}", meaning, ("hostname",), samples)
        attempts = [((row.hostname,), row.attempts) for row in rows]
        yield _counter("registry_attempts", "Logins tried", ("hostname",), attempts)


_Samples = Iterable[tuple[tuple[str, ...], float]]


def _gauge(name: str, meaning: str, labels: tuple[str, ...], samples: _Samples) -> "Metric":
    from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415 - as above

    family = GaugeMetricFamily(_PREFIX + name, meaning, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _counter(name: str, meaning: str, labels: tuple[str, ...], samples: _Samples) -> "Metric":
    """The library adds `_total`."""
    from prometheus_client.metrics_core import CounterMetricFamily  # noqa: PLC0415 - as above

    family = CounterMetricFamily(_PREFIX + name, meaning, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _one_of(name: str, meaning: str, words: type[StrEnum], current: StrEnum) -> "Metric":
    return _gauge(name, meaning, (name,), [((word.value,), float(word is current)) for word in words])


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
