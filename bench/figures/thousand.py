"""A thousand secrets compared with a hundred: ten times as many may cost ten times as much, and not more."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

from bench.bench import Bench, scratch
from bench.figure import Figure, Turn
from bench.serving import Agent, Secret, agent, disabled, settled

_MANY: Final = 1000
_FEW: Final = 100
_REACH: Final = _MANY / _FEW
_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.05
_QUIET_S: Final = 3.5
"""The wait after the start, while the agent checks new files a second time."""
_CHANGED: Final = "changed-by-the-bench"
_T = TypeVar("_T")
_REFUSES: Final = """#!/bin/sh
# Replaces the docker CLI. Prints its error about a registry that refuses connections.
[ "$1" = --version ] && { echo 'Docker version 28.2.2, build e6534b4'; exit 0; }
cat >/dev/null
echo 'Error response from daemon: Get "https://registry/v2/": dial tcp 127.0.0.1:1: connect: connection refused' >&2
exit 1
"""


@dataclass(frozen=True, slots=True)
class _Taken:
    """The values of one agent, with a given number of disabled secrets."""

    start_s: float
    memory_kb: float
    change_s: float
    processor_s: float


def measure(bench: Bench) -> list[Figure]:
    taken = _in_turns(bench, lambda number: _take(bench, number))
    with scratch() as tools:
        docker = tools / "docker"
        docker.write_text(_REFUSES, encoding="utf-8")
        docker.chmod(0o755)
        attempts = _in_turns(bench, lambda number: _first_pass(bench, number, tools))
    kilobytes = [(many.memory_kb - few.memory_kb) / (_MANY - _FEW) for many, few in taken]
    return [
        _figure("start", "s", [(many.start_s, few.start_s) for many, few in taken]),
        _figure("first attempts", "s", attempts),
        _figure(
            "memory",
            "kB",
            [(many.memory_kb, few.memory_kb) for many, few in taken],
            f"{median(kilobytes):.1f} kB for each additional secret",
        ),
        _figure("one change", "s", [(many.change_s, few.change_s) for many, few in taken]),
        _figure("processor time of one change", "s", [(many.processor_s, few.processor_s) for many, few in taken]),
    ]


def _figure(what: str, unit: str, turns: Sequence[tuple[float, float]], *notes: str) -> Figure:
    name, beside = f"{_MANY:,} secrets: {what}", f"{_FEW} secrets"
    return Figure(name, beside, unit, _REACH, tuple(Turn(many, few) for many, few in turns), notes=notes)


def _in_turns(bench: Bench, take: Callable[[int], _T]) -> list[tuple[_T, _T]]:
    """Measure many and few in turns. The first pair is a warm-up and does not count."""
    return [(take(_MANY), take(_FEW)) for _ in range(bench.runs + 1)][1:]


def _take(bench: Bench, number: int) -> _Taken:
    secrets = disabled(number)
    with agent(bench, secrets) as ours:
        ours.wait_for(lambda status: settled(status) and len(status["registries"]) == number)
        start_s = time.monotonic() - ours.begun
        memory_kb = ours.memory_kb()
        time.sleep(_QUIET_S)
        changed = {**secrets[number // 2], "name": _CHANGED}
        ours.give([*secrets[: number // 2], changed, *secrets[number // 2 + 1 :]])
        before = ours.processor_s()
        change_s = _seen(ours, time.monotonic())
        return _Taken(start_s, memory_kb, change_s, ours.processor_s() - before)


def _seen(ours: Agent, since: float) -> float:
    """Return the seconds until the status shows the change. It is searched, not parsed: parsing would take time too.

    Raises:
        TimeoutError: the change did not appear in time.
    """
    while time.monotonic() - since < _PATIENCE_S:
        if _CHANGED.encode() in ours.get("/v1/status"):
            return time.monotonic() - since
        time.sleep(_LOOK_S)
    raise TimeoutError("the change never showed")


def _first_pass(bench: Bench, number: int, tools: Path) -> float:
    """Return the seconds from the start until each registry was tried once."""
    secrets = [{**secret, "enabled": True, "hostname": f"127.0.0.1:{1 + index}"} for index, secret in _numbered(number)]
    with agent(bench, secrets, PATH=f"{tools}:{os.environ['PATH']}") as ours:
        while b'"phase": "running"' not in _head(ours):
            time.sleep(_LOOK_S)
        return time.monotonic() - ours.begun


def _numbered(number: int) -> Iterable[tuple[int, Secret]]:
    return enumerate(disabled(number))


def _head(ours: Agent) -> bytes:
    """Return the answer of `/readyz`, or nothing. It shows the phase and costs the agent almost nothing.

    Raises:
        RuntimeError: the first attempts took too long, or the agent ended.
    """
    if time.monotonic() - ours.begun > _PATIENCE_S or not ours.running:
        raise RuntimeError(f"the first attempts have no end:\n{ours.log()}")
    with contextlib.suppress(OSError):
        return ours.get("/readyz")
    return b""
