"""A thousand registries with logins in memory, compared with a hundred: first logins, memory, and docker's wait."""

import os
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.bench import Bench, scratch
from bench.figure import Figure, Turn
from bench.serving import PASSWORD, USER, Agent, Secret, agent, registries, settled
from tests.rig.helper import ask_helper, install_helper

_MANY: Final = 1000
_FEW: Final = 100
_GETS: Final = 11
_DOCKER: Final = f"""#!/bin/sh
# Replaces the docker CLI, and accepts each login at once.
[ "$1" = --version ] && {{ echo 'Docker version 28.2.2, build e6534b4'; exit 0; }}
cat >/dev/null
directory=$2
for registry; do :; done
printf '{{"auths": {{"%s": {{"auth": "%s"}}}}}}' "$registry" '{b64encode(f"{USER}:{PASSWORD}".encode()).decode()}' \\
    >"$directory/config.json"
"""


@dataclass(frozen=True, slots=True)
class _Taken:
    logins_s: float
    memory_kb: float
    get_s: float


def measure(bench: Bench) -> list[Figure]:
    with scratch() as tools, registries(_MANY) as secrets:
        docker = tools / "docker"
        docker.write_text(_DOCKER, encoding="utf-8")
        docker.chmod(0o755)
        helper = install_helper(tools, bench.python)
        pairs = [(_take(bench, secrets, helper), _take(bench, secrets[:_FEW], helper)) for _ in range(bench.runs + 1)][
            1:
        ]
    return [
        _figure("first logins", "s", 10, [(many.logins_s, few.logins_s) for many, few in pairs]),
        _figure("memory", "kB", 10, [(many.memory_kb, few.memory_kb) for many, few in pairs]),
        _figure("one get", "s", 1.5, [(many.get_s, few.get_s) for many, few in pairs]),
    ]


def _figure(what: str, unit: str, reach: float, pairs: Sequence[tuple[float, float]]) -> Figure:
    turns = tuple(Turn(many, few) for many, few in pairs)
    return Figure(f"{_MANY:,} logins in memory: {what}", f"{_FEW} logins", unit, reach, turns)


def _take(bench: Bench, secrets: Sequence[Secret], helper: Path) -> _Taken:
    path = f"{helper.parent}:{os.environ['PATH']}"
    with agent(bench, secrets, REGISTRY_AGENT_DOCKER_STORE="helper", PATH=path) as ours:
        status = ours.wait_for(settled)
        logins_s = time.monotonic() - ours.begun
        stored = sum(row["stored_in"] == "memory" for row in status["registries"])
        if stored != len(secrets):
            raise RuntimeError(f"{stored} of {len(secrets)} logins are in memory\n{ours.log()}")
        return _Taken(logins_s, ours.memory_kb(), median(_seconds_of_get(ours, helper, secrets) for _ in range(_GETS)))


def _seconds_of_get(ours: Agent, helper: Path, secrets: Sequence[Secret]) -> float:
    env = {"REGISTRY_AGENT_SOCKET": str(ours.root / "run" / "agent.sock")}
    begun = time.perf_counter()
    done = ask_helper(helper, str(secrets[-1]["hostname"]), env)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"get failed: {done.stdout}")
    return seconds
