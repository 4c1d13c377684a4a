"""The real `pass`, git and Docker's own helper for them, as the store of a person's logins."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.edge.credential_helper import CredentialHelpers
from agent.model.docker_config import Entry
from agent.model.problems.stored_login import CredentialStoreFailed
from agent.model.sensitive import Sensitive
from tests.e2e.conftest import PRIVATE, MakeAgent, password
from tests.problems import raises_problem
from tests.rig.agent import Agent
from tests.rig.pass_store import PassStore, docker_credential_pass, pass_store


@pytest.fixture(scope="module")
def helper() -> Path:
    return docker_credential_pass()


@pytest.fixture
def store(helper: Path) -> Iterator[PassStore]:
    with pass_store(helper) as store:
        yield store


def _agent(make_agent: MakeAgent, store: PassStore, config: dict[str, object]) -> Agent:
    agent: Agent = make_agent(**{name: value for name, value in store.env.items() if name != "HOME"})
    (agent.docker / "config.json").write_text(json.dumps(config))
    agent.give("team", PRIVATE, username="alice", password=password("alice"))
    return agent


def _is_in_order(store: PassStore) -> None:
    """Check that a person can continue to use the store."""
    assert not store.lock.exists()
    done = store.insert("mail", "a secret of my own")
    assert done.returncode == 0, done.stderr
    assert store.show("mail") == "a secret of my own"


@pytest.mark.usefixtures("private")
def test_sigterm_during_a_store_leaves_no_lock(make_agent: MakeAgent, store: PassStore) -> None:
    """The agent ends after git has committed the login. Then `pass insert` works."""
    agent = _agent(make_agent, store, {"credsStore": "pass"})
    store.hold()
    agent.start()
    store.wait_for_write()
    agent.watch_no_longer()
    agent.send(signal.SIGTERM)
    agent.wait_for("the agent's end", lambda s: s["phase"] == "stopping")
    store.let_go()
    assert agent.end() == 0
    assert store.committed()
    assert "alice" in store.listed()
    _is_in_order(store)


async def test_a_store_that_hangs_leaves_no_lock(store: PassStore) -> None:
    """At the deadline, git, a child of the helper, gets SIGTERM and removes its lock."""
    store.hold()
    for deadline_s in (3, 10, 30):  # a slow machine needs longer until git has its lock
        helpers = CredentialHelpers(store.env, deadline_s=deadline_s)
        with raises_problem(CredentialStoreFailed, match="docker-credential-pass store did not end within"):
            await helpers.store("pass", PRIVATE, Entry("alice", Sensitive("secret")))
        if store.waited:
            break
    assert store.waited
    store.no_longer_hold()
    _is_in_order(store)


@pytest.mark.usefixtures("private")
def test_a_login_goes_into_pass_only_where_docker_is_configured_so(make_agent: MakeAgent, store: PassStore) -> None:
    """Docker itself would choose `pass` if it is installed. The agent's own `docker login` never does."""
    agent = _agent(make_agent, store, {})
    agent.start().wait_logged_in(PRIVATE)
    assert PRIVATE in agent.docker_config()["auths"]
    assert not (store.path / "docker-credential-helpers").exists()
