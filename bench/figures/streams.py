"""How soon a change reaches 200 readers of the event stream, and how long the event loop is blocked meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from bench import observed_agent, stream_readers
from bench.bench import Bench
from bench.figure import Figure, Turn
from bench.serving import Agent, Secret, agent, disabled, registries, settled

_STREAMS: Final = 200
_REGISTRIES: Final = 10
_EVENTS: Final = 5
"""The number of changes in a turn. Each goes to all readers."""
_REACH_MS: Final = 100.0
_REACH_BLOCKED_MS: Final = 50.0
_PATIENCE_S: Final = 10.0
_LOOK_S: Final = 0.005


def measure(bench: Bench) -> list[Figure]:
    with registries(_REGISTRIES) as secrets, _observed(bench, secrets) as ours, _readers(ours.port) as readers:
        stage = _Stage(ours, secrets, readers)
        stage.turn()
        seen = [stage.turn() for _ in range(bench.runs)]
    slowest = max(ms for turn in seen for ms in turn.took_ms)
    p99 = Figure(
        f"an event reaches {_STREAMS} streams, p99",
        "-",
        "ms",
        _REACH_MS,
        tuple(Turn(turn.p99_ms) for turn in seen),
        notes=(f"{_EVENTS} changes per run; the slowest reader of all had its document after {slowest:.1f} ms",),
    )
    longest = max(turn.blocked_ms for turn in seen)
    blocked = Figure(
        f"longest event-loop block during this, {_STREAMS} streams",
        "-",
        "ms",
        _REACH_BLOCKED_MS,
        tuple(Turn(turn.blocked_ms) for turn in seen),
        notes=(f"the longest of all runs: {longest:.1f} ms, including waits for the processor",),
    )
    return [p99, blocked]


@dataclass(frozen=True, slots=True)
class _Seen:
    """`took_ms`: sorted times from publication to the last byte of the document, for each reader and change."""

    took_ms: list[float]
    blocked_ms: float

    @property
    def p99_ms(self) -> float:
        return self.took_ms[len(self.took_ms) * 99 // 100]


class _Stage:
    """Makes the changes. Each adds or removes one disabled secret."""

    def __init__(self, ours: Agent, secrets: list[Secret], readers: "subprocess.Popen[str]") -> None:
        self._ours: Final = ours
        self._secrets: Final = secrets
        self._readers: Final = readers
        self._numbers: Final = count(1)
        self._tell()  # earlier blocks do not count

    def turn(self) -> _Seen:
        took_ms: list[float] = []
        blocked_s = 0.0
        for _ in range(_EVENTS):
            more = next(self._numbers) % 2
            self._ours.give([*self._secrets, *disabled(more)])
            rows = len(self._secrets) + more
            revision = self._ours.wait_for(_has(rows))["revision"]
            had = self._had(revision)
            told = self._tell()
            blocked_s = max(blocked_s, told["longest_s"])
            published = dict(told["published"])[revision]
            took_ms += [(at - published) * 1000 for at in had]
        return _Seen(sorted(took_ms), blocked_s * 1000)

    def _had(self, revision: int) -> list[float]:
        """Return when each reader had the revision, or a later one."""
        assert self._readers.stdin is not None  # noqa: S101 - a pipe was requested
        assert self._readers.stdout is not None  # noqa: S101 - a pipe was requested
        self._readers.stdin.write(f"{revision}\n")
        self._readers.stdin.flush()
        times: list[float] = json.loads(self._readers.stdout.readline())
        return times

    def _tell(self) -> dict[str, Any]:
        path = self._ours.root / "observed"
        path.unlink(missing_ok=True)
        os.kill(self._ours.pid, signal.SIGUSR1)
        begun = time.monotonic()
        while not path.exists():
            if time.monotonic() - begun > _PATIENCE_S:
                raise TimeoutError("the agent under observation does not tell")
            time.sleep(_LOOK_S)
        told: dict[str, Any] = json.loads(path.read_text())
        return told


def _has(rows: int) -> Callable[[dict[str, Any]], bool]:
    return lambda status: len(status["registries"]) == rows


@contextmanager
def _observed(bench: Bench, secrets: list[Secret]) -> Iterator[Agent]:
    with agent(bench, secrets, program=(str(Path(observed_agent.__file__)),)) as ours:
        ours.wait_for(settled)
        yield ours


@contextmanager
def _readers(port: int) -> Iterator["subprocess.Popen[str]"]:
    """Start the readers, and yield once all of them have read their first document."""
    process = subprocess.Popen(
        [sys.executable, str(Path(stream_readers.__file__)), str(port), str(_STREAMS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was requested
        if process.stdout.readline() != "reading\n":
            raise RuntimeError("the agent does not hold so many streams")
        yield process
    finally:
        process.kill()
        process.communicate()
