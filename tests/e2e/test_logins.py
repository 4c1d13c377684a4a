"""Many logins at once, refused ones, and ones that hang."""

import base64
import json

import pytest

from agent.demo.registries import BasicAuth
from tests.e2e.conftest import MANY, PRIVATE, SILENT, WRONG, MakeAgent, password
from tests.fakecloud.registries import PretendRegistry
from tests.rig.agent import logged_in, warnings
from tests.rig.machine import Machine
from tests.rig.waiting import throughout

FOREIGN = {"auth": base64.b64encode(b"person:theirs").decode()}


@pytest.mark.usefixtures("private")
def test_twenty_registries_log_in_at_once_and_nothing_is_lost(make_agent: MakeAgent) -> None:
    """Every login is in config.json, next to the entry and the keys that were there before. The file's mode is kept."""
    before = {"auths": {"other.example.test": FOREIGN}, "psFormat": "table {{.Names}}", "unheardOf": {"a": [1, None]}}
    agent = make_agent()
    config = agent.docker / "config.json"
    config.write_text(json.dumps(before))
    config.chmod(0o640)
    for name in MANY:
        agent.give(name.partition(".")[0], name, username=name, password=password(name))

    status = agent.start().wait_logged_in(*MANY)

    auths = {name: {"auth": base64.b64encode(f"{name}:{password(name)}".encode()).decode()} for name in MANY}
    assert agent.docker_config() == {**before, "auths": {"other.example.test": FOREIGN, **auths}}
    assert config.stat().st_mode & 0o777 == 0o640
    assert status["summary"].startswith("20 of 20 registries logged in")
    assert all(row["attempts"] == 1 for row in agent.status()["registries"])


def test_a_wrong_password_is_tried_once(make_agent: MakeAgent, machine: Machine) -> None:
    """The registry sees it once, even if retries are fast. A new password is used at once and clears the warning."""
    registry = PretendRegistry(BasicAuth({"alice": "right"}))
    agent = make_agent({"retry": {"first_wait_s": 0.1, "max_wait_s": 0.2}})
    with machine.serving(registry.handle, WRONG):
        agent.give("team-wrong", WRONG, username="alice", password="mistyped")
        agent.start().wait_for("the refusal", lambda s: ("login_rejected", WRONG) in warnings(s))
        row = agent.registry(WRONG)
        assert row is not None
        assert row["state"] == "rejected"
        throughout(4, lambda: registry.wrong["alice"] == 1)

        agent.give("team-wrong", WRONG, username="alice", password="right")
        status = agent.wait_logged_in(WRONG)
        assert ("login_rejected", WRONG) not in warnings(status)
        assert "login_rejected" in {warning["code"] for warning in status["cleared"]}
        assert registry.wrong["alice"] == 1


@pytest.mark.usefixtures("private")
def test_a_registry_that_hangs_delays_no_other(make_agent: MakeAgent, machine: Machine) -> None:
    """One registry accepts the connection and stays silent. The others log in. It gets a warning after its timeout."""
    agent = make_agent({"docker": {"login_timeout_s": 4}})
    with machine.silent(SILENT):
        agent.give("aaa-silent", SILENT, username="alice", password="secret")
        for name in MANY[:5]:
            agent.give(name.partition(".")[0], name, username=name, password=password(name))
        agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))

        status = agent.start().wait_logged_in(PRIVATE, *MANY[:5])
        assert not logged_in(status, SILENT)
        assert status["phase"] == "starting", "the others had to wait until the silent one was given up"
        agent.wait_for("the timeout", lambda s: ("registry_timeout", SILENT) in warnings(s))
        assert agent.status()["phase"] == "running"
