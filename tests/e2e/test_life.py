"""Starts, stops, kills, and a clock that jumps."""

import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import MANY, PRIVATE, SILENT, MakeAgent, password
from tests.rig.agent import Agent, logged_in
from tests.rig.cloud import ECR, NATIVE, Cloud
from tests.rig.machine import Machine
from tests.rig.moved_clock import MovedClock
from tests.rig.waiting import until

NIGHT_S = 7 * 3600


def test_after_a_suspended_night_the_token_is_renewed_at_once(
    make_agent: MakeAgent, cloud: Cloud, tmp_path: Path
) -> None:
    """The wall clock jumps by seven hours. One jump is counted, and the token, past half of its life, is renewed."""
    clock = MovedClock(tmp_path)
    agent = make_agent(**clock.environment)
    agent.give("team-ecr", ECR, **NATIVE)
    agent.start().wait_logged_in(ECR)
    assert len(cloud.aws.tokens.issued) == 1

    cloud.aws.clock_offset = timedelta(seconds=NIGHT_S)
    clock.set(timedelta(seconds=NIGHT_S))

    # The agent checks the clock at least every 30 s.
    status = agent.wait_for("the renewal", lambda s: len(cloud.aws.tokens.issued) > 1 and s["clock"]["jumps"], 40)
    assert status["clock"]["jumps"] == 1
    renewed = agent.wait_for("the new end", lambda s: s["registries"][0]["expires_at"] > _in_hours(cloud, 11))
    assert logged_in(renewed, ECR)
    assert len(cloud.aws.tokens.issued) == 2


@pytest.mark.usefixtures("private")
def test_a_killed_agent_leaves_nothing_behind_and_loses_nothing(make_agent: MakeAgent, machine: Machine) -> None:
    """SIGKILL in the middle of a login: the next start removes its private directory, and every login still exists."""
    agent = make_agent()
    with machine.silent(SILENT):
        agent.give("team-silent", SILENT, username="alice", password="secret-of-silent")
        for name in MANY:
            agent.give(name.partition(".")[0], name, username=name, password=password(name))
        agent.start().wait_logged_in(*MANY)
        left = until("a login in its private directory", lambda: _login_directories(agent))
        agent.end(signal.SIGKILL)
        assert set(left) <= set(_login_directories(agent))
        assert set(agent.docker_config()["auths"]) == set(MANY)

        (agent.secrets / "team-silent.json").unlink()
        agent.start().wait_logged_in(*MANY)
        until("the sweep", lambda: not _login_directories(agent))
        assert set(agent.docker_config()["auths"]) == set(MANY)
        assert agent.status()["condition"] == "healthy"


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("hanging", [False, True], ids=["idle", "login-hangs"])
def test_sigterm_ends_it_at_once(make_agent: MakeAgent, machine: Machine, hanging: bool) -> None:
    """It exits with code 0, long before a hanging login would time out. The logins stay."""
    agent = make_agent()
    with machine.silent(SILENT):
        agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))
        if hanging:
            agent.give("team-silent", SILENT, username="alice", password="secret")
        agent.start().wait_logged_in(PRIVATE)
        if hanging:
            until("a login in its private directory", lambda: _login_directories(agent))
        began = time.monotonic()
        assert agent.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 10, "a login has 30 s"
    assert PRIVATE in agent.docker_config()["auths"]
    assert not _login_directories(agent)


def _login_directories(agent: Agent) -> list[Path]:
    """Return what running logins keep in the runtime directory."""
    return list(agent.runtime.glob("*/*"))


def _in_hours(cloud: Cloud, hours: float) -> str:
    return (cloud.aws.now() + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
