"""Status requests answered per second, compared with a bare aiohttp server that answers the same bytes."""

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.bench import Bench
from bench.figure import Figure
from bench.serving import agent, bare, registries, settled

_REGISTRIES: Final = 10
_REACH: Final = 0.35
_TURN_S: Final = 2
_CONNECTIONS: Final = 4
_RATE: Final = re.compile(r"^Requests/sec: +([0-9.]+)$", re.MULTILINE)


def measure(bench: Bench) -> list[Figure]:
    with registries(_REGISTRIES) as secrets, agent(bench, secrets) as ours:
        ours.wait_for(settled)
        body = ours.get("/v1/status")
        answer = ours.root / "answer"
        answer.write_bytes(body)
        with bare(bench, "--answer", str(answer)) as theirs:
            _keep_apart(ours.pid, theirs.pid)
            turns = bench.turns(lambda: asked(ours.port), lambda: asked(theirs.port))
    return [
        Figure(
            f"status requests per second, {_REGISTRIES} registries",
            "bare aiohttp server, the same bytes",
            "requests/s",
            _REACH,
            turns,
            at_least=True,
        )
    ]


def asked(port: int) -> float:
    """Return the requests per second that the server answers to wrk.

    Raises:
        RuntimeError: an answer was not 200, or a connection failed.
    """
    url = f"http://127.0.0.1:{port}/v1/status"
    wrk = subprocess.run(
        ["taskset", "--cpu-list", str(_processors()[-1]), "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{_TURN_S}s", url],  # noqa: S607 - Debian's own
        check=True,
        capture_output=True,
        text=True,
    )
    rate = _RATE.search(wrk.stdout)
    if rate is None or "Non-2xx" in wrk.stdout or "Socket errors" in wrk.stdout:
        raise RuntimeError(f"wrk was not answered as it should be:\n{wrk.stdout}{wrk.stderr}")
    return float(rate[1])


def _keep_apart(*pids: int) -> None:
    """Pin the servers to the first processor. The client has the last one, so it takes no time from the servers."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):  # a thread that has just ended
                os.sched_setaffinity(int(task.name), {_processors()[0]})


def _processors() -> list[int]:
    return sorted(os.sched_getaffinity(0))
