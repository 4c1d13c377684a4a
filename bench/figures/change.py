"""Time from a changed secret file to the new login in config.json, compared with one `docker login`.

The clock starts just before the file is written and renamed. The round trip to the registry takes 20 ms, as in the
same region.
"""

import base64
import json
import time
from collections.abc import Iterator
from itertools import cycle
from statistics import median
from subprocess import Popen
from typing import Final

from bench.bench import Bench
from bench.figure import Figure, Turn
from bench.registries import registries
from bench.stage import Stage, running_agent, seconds_of, stage

_USERS: Final = {"robot": "made-up", "other-robot": "made-up-too"}
_LOGIN: Final = "echo made-up | docker login --username robot --password-stdin {host}"
_ROUND_TRIP_S: Final = 0.02
_QUIET_S: Final = 1.7
"""The pause between two changes. The agent reacts to one hint of the kernel per second, and real changes are rarer."""


def measure(bench: Bench) -> list[Figure]:
    turns, attempt = _taken(bench, _ROUND_TRIP_S)
    near, near_attempt = _taken(bench, 0.0)
    beside = Figure("", "", "s", 0, near)
    spent = f"the agent's login attempt takes {attempt * 1000:.0f} ms; the rest is the time to notice the change"
    close = (
        f"without network delay: agent {beside.ours * 1000:.0f} ms (attempt {near_attempt * 1000:.0f} ms), "
        f"docker login {(beside.theirs or 0) * 1000:.0f} ms, ratio {beside.value:.2f}"
    )
    return [Figure("a changed secret file to the new login", "one docker login", "s", 1.5, turns, notes=(spent, close))]


def _taken(bench: Bench, round_trip_s: float) -> tuple[tuple[Turn, ...], float]:
    """Return the turns, and the median seconds of one attempt, from the agent's own log."""
    with (
        registries(1, round_trip_s, _USERS) as (host,),
        stage([_secret(host, "robot")]) as own,
        running_agent(bench, own, {}) as agent,
    ):
        own.await_logins([host], agent)
        users = cycle(reversed(_USERS))
        turns = bench.turns(lambda: _change(own, host, agent, next(users)), lambda: _docker_login(host))
        return turns, median(_attempts(own))


def _secret(host: str, user: str) -> dict[str, str]:
    return {"name": "changed", "hostname": host, "username": user, "password": _USERS[user]}


def _change(own: Stage, host: str, agent: Popen[bytes], user: str) -> float:
    time.sleep(_QUIET_S)
    begun = time.perf_counter()
    own.put(_secret(host, user))
    pair = base64.b64encode(f"{user}:{_USERS[user]}".encode()).decode()
    return own.await_logins([host], agent, pair) - begun


def _docker_login(host: str) -> float:
    with stage() as other:
        return seconds_of(["sh", "-c", _LOGIN.format(host=host)], other.environment({}))[0]


def _attempts(own: Stage) -> Iterator[float]:
    for line in own.log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "login.succeeded":
            yield event["seconds"]
