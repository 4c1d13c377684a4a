"""A credential helper is in the middle of a write into a person's store, and something ends the login or the agent."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.conftest import MANY, PRIVATE, SILENT, MakeAgent, password
from tests.edge.helper_script import PERSONS, RewritingHelper
from tests.rig.agent import REGISTRY_AGENT, Agent
from tests.rig.machine import Machine
from tests.rig.waiting import until

pytestmark = pytest.mark.usefixtures("private")

ALICE: Final = {"username": "alice", "password": password("alice")}
OTHER: Final = {"username": MANY[0], "password": password(MANY[0])}


@pytest.fixture
def helper(tmp_path: Path) -> RewritingHelper:
    """The credential store in the Docker configuration of `agent`: one file with a person's login, written slowly."""
    (tmp_path / "bin").mkdir()
    return RewritingHelper(tmp_path / "bin", "rewriting")


@pytest.fixture
def agent(make_agent: MakeAgent, helper: RewritingHelper, tmp_path: Path) -> Agent:
    assert helper.logins
    agent = make_agent(PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (agent.docker / "config.json").write_text(json.dumps({"credsStore": "rewriting"}))
    agent.give("team", PRIVATE, **ALICE)
    return agent


def stored(helper: RewritingHelper) -> dict[str, Any]:
    """Return the user name for each server."""
    return {server: login["Username"] for server, login in helper.logins.items()}


def and_persons(**logins: str) -> dict[str, str]:
    return {PERSONS["ServerURL"]: PERSONS["Username"], **logins}


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGTERM, signal.SIGHUP]]
)
def test_the_agent_ends_after_the_write(agent: Agent, helper: RewritingHelper, signals: list[signal.Signals]) -> None:
    """SIGTERM, SIGINT or two signals: the write is finished first. The next start knows the login as its own."""
    helper.hold()
    agent.start()
    until("the write", lambda: helper.writing)
    agent.watch_no_longer()
    for number in signals:
        agent.send(number)
    until("the agent's end", lambda: agent.status()["phase"] == "stopping")
    helper.let_go()
    assert agent.end() == 0
    assert stored(helper) == and_persons(**{PRIVATE: "alice"})

    agent.give("team", PRIVATE, **OTHER)
    agent.start().wait_logged_in(PRIVATE)
    assert stored(helper) == and_persons(**{PRIVATE: MANY[0]})


def test_an_excluded_registry_keeps_what_was_being_written(agent: Agent, helper: RewritingHelper) -> None:
    """SIGHUP with `secrets.exclude` during the write: the agent skips the registry, and the write is finished."""
    helper.hold()
    agent.start()
    until("the write", lambda: helper.writing)
    agent.configure({"secrets": {"exclude": [PRIVATE]}})
    agent.send(signal.SIGHUP)
    agent.wait_for("the registry left alone", lambda s: s["registries"][0]["state"] == "skipped")
    helper.let_go()
    until("the end of the write", lambda: not helper.writing)
    assert stored(helper) == and_persons(**{PRIVATE: "alice"})


def test_a_changed_secret_is_written_after_the_former_one(agent: Agent, helper: RewritingHelper) -> None:
    """The new attempt begins during the first write. Its login is the one that stays."""
    helper.hold()
    agent.start()
    until("the write", lambda: helper.writing)
    before = agent.registry(PRIVATE)
    agent.give("team", PRIVATE, **OTHER)
    agent.wait_for("the new attempt", lambda s: before and s["registries"][0]["attempt_id"] != before["attempt_id"])
    helper.let_go()
    agent.wait_logged_in(PRIVATE)
    assert stored(helper) == and_persons(**{PRIVATE: MANY[0]})


@pytest.mark.parametrize("removed", ["keep", "logout"])
def test_a_secret_that_goes_during_the_write(agent: Agent, helper: RewritingHelper, removed: str) -> None:
    """The write ends. Then the login stays or is removed, depending on the settings."""
    agent.configure({"secrets": {"removed": removed}})
    helper.hold()
    agent.start()
    until("the write", lambda: helper.writing)
    (agent.secrets / "team.json").unlink()
    agent.wait_for("no registry", lambda s: not s["registries"])
    helper.let_go()
    expected = and_persons() if removed == "logout" else and_persons(**{PRIVATE: "alice"})
    until("the store", lambda: not helper.writing and stored(helper) == expected)


def test_a_logout_that_has_begun_is_finished(agent: Agent, helper: RewritingHelper) -> None:
    """SIGTERM arrives while the helper erases the login of a removed secret."""
    agent.configure({"secrets": {"removed": "logout"}})
    agent.start().wait_logged_in(PRIVATE)
    helper.hold()
    (agent.secrets / "team.json").unlink()
    until("the write", lambda: helper.writing)
    agent.watch_no_longer()
    agent.send(signal.SIGTERM)
    until("the agent's end", lambda: agent.status()["phase"] == "stopping")
    helper.let_go()
    assert agent.end() == 0
    assert stored(helper) == and_persons()


def test_an_interrupted_renew_interrupts_no_write(agent: Agent, helper: RewritingHelper, machine: Machine) -> None:
    """Ctrl-C ends the command `renew`, but not the write that it requested."""
    agent.start().wait_logged_in(PRIVATE)
    helper.log_in(PRIVATE, "ada")
    helper.hold()
    args = machine.namespace.args([REGISTRY_AGENT, "renew", PRIVATE, "--socket", agent.socket])
    with subprocess.Popen(args, env=agent.env, stdin=subprocess.DEVNULL) as renew:
        until("the write", lambda: helper.writing)
        renew.send_signal(signal.SIGINT)
        assert renew.wait(30) == 130
    helper.let_go()
    agent.wait_for("the login", lambda s: not s["registries"][0]["attempting"])
    assert stored(helper) == and_persons(**{PRIVATE: "alice"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_single_pass_ends_after_the_write(
    agent: Agent, helper: RewritingHelper, machine: Machine, number: signal.Signals
) -> None:
    """`run --once`: a hanging login is ended at once, but the write for the other registry is finished."""
    agent.give("team-silent", SILENT, username="alice", password="secret-of-silent")
    helper.hold()
    with machine.silent(SILENT), agent.once() as once:
        until("the write", lambda: helper.writing)
        until("the login that hangs", lambda: _hanging(agent))
        once.send_signal(number)
        until("its end", lambda: not _hanging(agent))
        helper.let_go()
        assert once.wait(30) == 2
    assert stored(helper) == and_persons(**{PRIVATE: "alice"})


def _hanging(agent: Agent) -> list[Path]:
    """Return the private directories of running logins."""
    return list(agent.runtime.glob("*/*"))
