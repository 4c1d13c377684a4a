"""Distant registries: the agent logs in to all of them at once, a script to one after another."""

import os
import shlex
from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.bench import Bench
from bench.figure import Figure
from bench.registries import registries
from bench.stage import Stage, seconds_of, stage, start_to_logins

_ROUND_TRIP_S: Final = 0.2
_USERS: Final = {"robot": "made-up"}
_LOGIN: Final = "echo made-up | docker login --username robot --password-stdin {host}"
_FEW: Final = 10
_MANY: Final = 50


def measure(bench: Bench) -> list[Figure]:
    with registries(_MANY, _ROUND_TRIP_S, _USERS) as hosts:
        few = _figure(bench, hosts[:_FEW], 0.25)
        many = _figure(bench, hosts, 0.10, _kept_by_parallel_script(bench, hosts), _floor(hosts))
    return [few, many]


def _figure(bench: Bench, hosts: Sequence[str], reach: float, *notes: str) -> Figure:
    name = f"{len(hosts)} registries, each {_ROUND_TRIP_S * 1000:g} ms away"
    secrets = [{"name": f"distant-{n}", "hostname": host, **_fields()} for n, host in enumerate(hosts)]
    turns = bench.turns(lambda: start_to_logins(bench, secrets), lambda: _script(hosts, _LOGIN))
    return Figure(name, "a script, one after another", "s", reach, turns, notes=notes)


def _fields() -> dict[str, str]:
    [(username, password)] = _USERS.items()
    return {"username": username, "password": password}


def _script(hosts: Sequence[str], line: str) -> float:
    with stage() as own:
        seconds = _run(own, hosts, line)
        missing = set(hosts) - own.logins().keys()
        if missing:
            raise RuntimeError(f"the script did not log in to {sorted(missing)}")
        return seconds


def _run(own: Stage, hosts: Sequence[str], line: str) -> float:
    lines = [line.format(host=shlex.quote(host)) for host in hosts]
    return seconds_of(["sh", "-e", "-c", "\n".join([*lines, "wait"])], own.environment({}))[0]


def _kept_by_parallel_script(bench: Bench, hosts: Sequence[str]) -> str:
    """Return a note: how many logins remain if each line of the script ends in `&`."""
    kept, seconds = [], []
    for _ in range(bench.runs):
        with stage() as own:
            seconds.append(_run(own, hosts, f"{_LOGIN} &"))
            kept.append(len(own.logins()))
    return (
        f"with `&` after each line, the script takes {median(seconds):.1f} s and keeps {median(kept):g} "
        f"of {len(hosts)} logins ({min(kept)} to {max(kept)}); the agent kept all of them in every run"
    )


def _floor(hosts: Sequence[str]) -> str:
    """Return a note: the minimum time, which the docker CLI alone takes."""
    with stage() as own:
        command = ["sh", "-c", _LOGIN.format(host=hosts[0])]
        spent = [seconds_of(command, own.environment({})) for _ in range(_FEW)]
    wall, processor = (median(column) for column in zip(*spent, strict=True))
    cores = len(os.sched_getaffinity(0))
    floor = wall + (len(hosts) - 1) * processor / cores
    return (
        f"minimum: one `docker login` takes {wall:.2f} s, of which {processor * 1000:.0f} ms are processor time; "
        f"{len(hosts)} at once take {floor:.2f} s on {cores} processors"
    )
