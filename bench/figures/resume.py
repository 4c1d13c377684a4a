"""Time from a resume after a night to the first working login, in config.json and in memory. Needs root."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from subprocess import Popen
from typing import Final

from bench.aws_names import NAMES, REGION, aws_names
from bench.bench import Bench, scratch
from bench.figure import Figure
from bench.stage import Stage, running_agent, stage
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.tokens import Verdict
from tests.rig.helper import ask_helper, install_helper
from tests.rig.moved_clock import MovedClock

_HOST: Final = NAMES[0]
_SECRET: Final = {"name": "bench", "hostname": _HOST, "username": "runner-native", "password": "runner-native"}
_NIGHT: Final = timedelta(hours=13)
"""Longer than the life of a token."""
_BEAT_S: Final = 10.0
"""The agent checks the clock at each beat. The resumes are spread over one beat."""
_SPREAD: Final = (0.0, 0.5, 0.2, 0.7, 0.4, 0.9, 0.1, 0.6, 0.3, 0.8)
_LOOK_S: Final = 0.02
_PATIENCE_S: Final = 60.0
Password = Callable[[], str]
"""Returns the password that Docker would use for a pull now."""


def measure(bench: Bench) -> list[Figure]:
    file = _figure(bench, "config.json", 15, {}, lambda own, _: lambda: _in_file(own))
    memory = _figure(bench, "memory", 2, {"REGISTRY_AGENT_DOCKER_STORE": "helper"}, _asking)
    return [file, memory]


def _figure(
    bench: Bench, store: str, reach: float, more: Mapping[str, str], password: Callable[[Stage, Path], Password]
) -> Figure:
    with ExitStack() as stack:
        directory = stack.enter_context(scratch())
        machine, aws = stack.enter_context(aws_names(directory, [443]))
        own = stack.enter_context(stage([_SECRET]))
        clock, helper = MovedClock(directory), install_helper(directory, bench.python)
        path = f"{directory}:{own.environment({})['PATH']}"
        env = {**machine.trust, **clock.environment, **more, "PATH": path, "AWS_EC2_METADATA_DISABLED": "false"}
        agent = stack.enter_context(running_agent(bench, own, env, within=machine.namespace.args([])))
        look, spread = password(own, helper), cycle(_SPREAD)
        _seconds_to_login(aws, look, agent)
        turns = bench.turns(lambda: _resume(aws, clock, look, agent, next(spread)))
    return Figure(f"resume after a night to a login that works, in {store}", "-", "s", reach, turns)


def _resume(aws: PretendAws, clock: MovedClock, look: Password, agent: Popen[bytes], share: float) -> float:
    time.sleep(share * _BEAT_S)
    aws.clock_offset += _NIGHT
    clock.set(aws.clock_offset)
    return _seconds_to_login(aws, look, agent)


def _seconds_to_login(aws: PretendAws, look: Password, agent: Popen[bytes]) -> float:
    """Return the seconds until the registry accepts the password that Docker would use.

    Raises:
        RuntimeError: not in time, or the agent ended.
    """
    begun = time.perf_counter()
    while aws.valid("AWS", look(), REGION) is not Verdict.OK:
        if agent.poll() is not None or time.perf_counter() - begun > _PATIENCE_S:
            raise RuntimeError("no login that works")
        time.sleep(_LOOK_S)
    return time.perf_counter() - begun


def _in_file(own: Stage) -> str:
    pair = own.logins().get(_HOST, "")
    return base64.b64decode(pair).decode().partition(":")[2]


def _asking(own: Stage, helper: Path) -> Password:
    env = own.environment({"REGISTRY_AGENT_SOCKET": str(own.root / "run" / "agent.sock")})

    def password() -> str:
        done = ask_helper(helper, _HOST, env)
        return str(json.loads(done.stdout)["Secret"]) if done.returncode == 0 else ""

    return password
