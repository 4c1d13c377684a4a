"""Logins in memory while everything changes: the store, Docker's configuration, and the agent itself."""

import asyncio
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from aiohttp import web

from agent.demo.registries import BasicAuth
from tests.e2e.conftest import SILENT, MakeAgent
from tests.e2e.pulls import Pulls, pulling
from tests.e2e.test_helper_clients import SYSTEM
from tests.fakecloud.registries import PretendRegistry
from tests.rig.agent import Agent, warnings
from tests.rig.cloud import ECR, NATIVE, Cloud
from tests.rig.engine import Engine
from tests.rig.helper import install_helper, secret_files
from tests.rig.machine import Machine
from tests.rig.waiting import PATIENCE_S, throughout, until
from tests.torture import campaign

pytestmark = pytest.mark.engine

LINE: Final = {ECR: "registry-agent"}
_KILLS: Final = 1000
_REASONS: Final = ("registry-agent has no login for", "registry-agent has not read all its secrets yet")

Pull = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture
def agent(make_agent: MakeAgent, cloud: Cloud, tmp_path: Path) -> Agent:  # noqa: ARG001 - it serves ECR
    """An agent that keeps the login of ECR in memory. Its PATH has the credential helper."""
    programs = tmp_path / "programs"
    programs.mkdir()
    install_helper(programs)
    short = {"first_wait_s": 0.1, "max_wait_s": 0.5}
    agent: Agent = make_agent({"docker": {"store": "helper"}, "retry": short}, PATH=f"{programs}:{SYSTEM}")
    agent.give("team-ecr", ECR, **NATIVE)
    return agent


@pytest.fixture
def pull(agent: Agent, engine: Engine, ecr_image: str) -> Pull:
    """Push the private image, and return a function that pulls it."""
    env = {"PATH": agent.env["PATH"], "REGISTRY_AGENT_SOCKET": str(agent.socket)}
    agent.start().wait_logged_in(ECR)
    engine.must("push", ecr_image, config=agent.docker, env=env)
    return lambda: engine.docker("pull", ecr_image, config=agent.docker, env=env)


def stored_in(agent: Agent, store: str) -> None:
    """Change `docker.store`, and wait for the new place."""
    agent.configure({"docker": {"store": store}})
    agent.send(signal.SIGHUP)
    place = {"helper": "memory", "file": "config.json"}[store]
    agent.wait_for(place, lambda status: [row["stored_in"] for row in status["registries"]] == [place])


def lines(agent: Agent) -> tuple[Any, Any]:
    document = agent.docker_config()
    return document.get("credHelpers"), document.get("auths", {}).get(ECR)


def test_pulls_go_on_while_the_store_changes(agent: Agent, pull: Pull, cloud: Cloud) -> None:
    """It changes back and forth, by SIGHUP. Docker finds a login at every moment."""
    with pulling(pull) as pulls:
        for store in ("file", "helper", "file", "helper"):
            stored_in(agent, store)
            pulls.go_on()
    assert pulls.failed == []
    assert lines(agent) == (LINE, None)
    assert secret_files(agent.docker.parent, *_tokens(cloud), without=agent.secrets) == []


def test_a_docker_login_that_brings_the_old_file_back_is_corrected(
    agent: Agent, pull: Pull, cloud: Cloud, machine: Machine
) -> None:
    """It reads the file before the store changes, and writes it afterwards. The person's login in it stays."""
    arrived, may_answer = threading.Event(), threading.Event()
    registry = PretendRegistry(BasicAuth({"ada": "password-of-ada"}))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        await asyncio.to_thread(may_answer.wait, PATIENCE_S)
        return await registry.handle(request)

    stored_in(agent, "file")
    with machine.serving(handle, SILENT), pulling(pull) as pulls:
        login = ("docker", "login", "--username=ada", "--password-stdin", SILENT)
        outcome: list[subprocess.CompletedProcess[str]] = []
        person = threading.Thread(
            target=lambda: outcome.append(machine.namespace.run(*login, env=agent.env, stdin="password-of-ada"))
        )
        person.start()
        assert arrived.wait(PATIENCE_S)
        stored_in(agent, "helper")
        assert lines(agent) == (LINE, None)
        may_answer.set()
        person.join()
        assert outcome[0].returncode == 0, outcome[0].stderr
        until("the correction", lambda: lines(agent) == (LINE, None))
        agent.wait_for("the notice", lambda status: ("login_restored", ECR) in warnings(status))
        pulls.go_on()
    assert pulls.failed == []
    assert SILENT in agent.docker_config()["auths"]
    assert secret_files(agent.docker.parent, *_tokens(cloud), without=agent.secrets) == []


def test_a_killed_agent_gives_no_half_login(agent: Agent, pull: Pull, cloud: Cloud) -> None:
    """Each pull works, or shows the agent's reason. After the kills, no file has a token."""
    storm(agent, pull, cloud, 8)


@pytest.mark.torture
@pytest.mark.timeout(14400)
def test_a_thousand_kills_while_programs_pull(
    agent: Agent, pull: Pull, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """As above, a thousand times."""
    campaign.say(capsys, "kill -9 (logins in memory)", storm(agent, pull, cloud, campaign.times(_KILLS)))


def storm(agent: Agent, pull: Pull, cloud: Cloud, kills: int) -> str:
    """Kill the agent again and again: while it starts, and after it has logged in. Returns the figures."""
    chance = campaign.chance("kill -9 memory")
    with pulling(pull) as pulls:
        for number in range(kills):
            _kill(agent, pulls, chance, early=number % 2 == 0)
            assert lines(agent) == (LINE, None)
            # The private directory of a login that was killed is in the runtime directory.
            assert secret_files(agent.docker.parent, *_tokens(cloud)[-2:], without=agent.runtime) == []
            agent.start()
        agent.wait_logged_in(ECR)
    without_reason = [said for said in pulls.failed if not any(reason in said for reason in _REASONS)]
    assert without_reason == []
    assert cloud.registry.wrong.total() == 0, "half a token was sent, or an old one"
    done = pull()
    assert done.returncode == 0, done.stderr
    assert secret_files(agent.docker.parent, *_tokens(cloud), without=agent.secrets) == []
    return f"{kills} kills; {pulls.worked} pulls worked, {len(pulls.failed)} showed the reason"


def _kill(agent: Agent, pulls: Pulls, chance: Random, *, early: bool) -> None:
    if not early:
        agent.wait_logged_in(ECR)
        pulls.go_on()
    agent.watch_no_longer()
    throughout(chance.uniform(0, 0.5), lambda: agent.running)
    agent.end(signal.SIGKILL)


def _tokens(cloud: Cloud) -> list[str]:
    return [token.password for token in cloud.aws.tokens.issued]
