"""The cost of an idle agent: its memory after an hour, its processor time and wake-ups during the hour.

For each run, there are two agents and two bare servers, one of each with ECR. All of them idle together, while other
figures are measured.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.aws_side import AwsSide, aws_side
from bench.bench import Bench
from bench.figure import Figure, Turn
from bench.serving import Agent, Secret, agent, bare, registries, settled
from tests.rig.files import of_threads

_REGISTRIES: Final = 10
_SETTLING_S: Final = 60.0
_SHARE_OF_MINUTE: Final = 0.2
"""If the hour is shorter, this share of it is left out instead of a minute, until logins and first checks are over."""


@dataclass(frozen=True, slots=True)
class _Use:
    """What a process has used so far."""

    at: float
    processor_s: float
    wakeups: Mapping[str, int]
    """Of each live thread."""


class Hour:
    def __init__(
        self, bench: Bench, plain: Sequence[tuple[Agent, Agent]], with_ecr: Sequence[tuple[Agent, Agent]]
    ) -> None:
        self._plain: Final = plain
        self._with_ecr: Final = with_ecr
        self._begun: Final = time.monotonic()
        self._bench: Final = bench
        time.sleep(min(_SETTLING_S, _SHARE_OF_MINUTE * bench.hour_s))
        self._settled: Final = [_use(ours) for ours, _ in plain]

    def figures(self) -> list[Figure]:
        """Wait until the hour is over, and return its figures."""
        time.sleep(max(0.0, self._begun + self._bench.hour_s - time.monotonic()))
        spans = [(before, _use(ours)) for before, (ours, _) in zip(self._settled, self._plain, strict=True)]
        length = f"{(time.monotonic() - self._begun) / 60:.0f} minutes"
        return [
            _memory(f"resident memory after {length}, without ECR", "bare aiohttp server", 1.25, self._plain),
            _memory(
                f"resident memory after {length}, with ECR",
                "bare server with an aiobotocore ECR client",
                1.15,
                self._with_ecr,
            ),
            Figure(f"processor time when idle, {_REGISTRIES} registries", "-", "% of a core", 0.05, _shares(spans)),
            Figure(f"wake-ups per second when idle, {_REGISTRIES} registries", "-", "1/s", 1.0, _wakeups(spans)),
        ]


@contextmanager
def begun(bench: Bench) -> Iterator[Hour]:
    """Start all of them and wait until they are logged in and idle. They keep running while the caller measures."""
    with registries(_REGISTRIES) as secrets, aws_side(1) as aws, ExitStack() as stack:
        plain = [_pair(bench, stack, secrets) for _ in range(bench.runs)]
        with_ecr = [_pair(bench, stack, [aws.secret], aws) for _ in range(bench.runs)]
        for ours, _ in (*plain, *with_ecr):
            status = ours.wait_for(settled)
            if status["condition"] == "error":
                raise RuntimeError(f"not logged in: {status['summary']}\n{ours.log()}")
        yield Hour(bench, plain, with_ecr)


def _pair(bench: Bench, stack: ExitStack, secrets: Sequence[Secret], aws: AwsSide | None = None) -> tuple[Agent, Agent]:
    if aws is None:
        return stack.enter_context(agent(bench, secrets)), stack.enter_context(bare(bench))
    client = bare(bench, "--ecr", aws.url, "--key", aws.access_key_id, AWS_SECRET_ACCESS_KEY=aws.secret_access_key)
    return stack.enter_context(agent(bench, secrets, **aws.environment)), stack.enter_context(client)


def _memory(name: str, beside: str, reach: float, pairs: Sequence[tuple[Agent, Agent]]) -> Figure:
    return Figure(
        name, beside, "kB", reach, tuple(Turn(_resident_kb(ours), _resident_kb(theirs)) for ours, theirs in pairs)
    )


def _resident_kb(process: Agent) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _use(process: Agent) -> _Use:
    """Read the use so far. A wake-up is a voluntary context switch, when a thread gave up the processor (proc(5))."""
    directory, wakeups = Path(f"/proc/{process.pid}"), {}
    for thread, status in of_threads(process.pid, "status"):
        lines = status.splitlines()
        wakeups[thread] = next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))
    # This includes threads that have ended. The program's name can contain anything, so count the fields after it.
    user, system = (directory / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return _Use(time.monotonic(), (int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), wakeups)


def _shares(spans: Sequence[tuple[_Use, _Use]]) -> tuple[Turn, ...]:
    return tuple(
        Turn(100 * (after.processor_s - before.processor_s) / (after.at - before.at)) for before, after in spans
    )


def _wakeups(spans: Sequence[tuple[_Use, _Use]]) -> tuple[Turn, ...]:
    return tuple(
        Turn(
            sum(count - before.wakeups.get(thread, 0) for thread, count in after.wakeups.items())
            / (after.at - before.at)
        )
        for before, after in spans
    )
