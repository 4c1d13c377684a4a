"""A person and their own tools work on the same Docker configuration."""

import base64
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import MANY, PRIVATE, MakeAgent, password
from tests.rig.agent import Agent, warnings
from tests.rig.cloud import ECR, NATIVE
from tests.rig.machine import Machine
from tests.rig.needs import need
from tests.rig.snap import install_snap
from tests.rig.waiting import until

pytestmark = pytest.mark.usefixtures("private")


def entry(user: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password(user)}".encode()).decode()}


def log_in_by_hand(agent: Agent, machine: Machine, user: str) -> None:
    args = ("docker", "login", "--username", user, "--password-stdin", PRIVATE)
    done = machine.namespace.run(*args, env=agent.env, stdin=password(user))
    assert done.returncode == 0, done.stderr


def test_a_persons_own_login_stays_until_renew_takes_it_over(make_agent: MakeAgent, machine: Machine) -> None:
    """After a login by hand, a warning reports that the secret is not used. `renew HOST` uses the secret again."""
    agent = make_agent()
    agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))
    agent.start().wait_logged_in(PRIVATE)

    log_in_by_hand(agent, machine, MANY[0])
    agent.wait_for("the warning", lambda s: ("login_overridden", PRIVATE) in warnings(s))
    assert agent.docker_config()["auths"][PRIVATE] == entry(MANY[0])

    renewed = agent.command("renew", PRIVATE)
    assert renewed.returncode == 0, renewed.stdout + renewed.stderr
    assert agent.docker_config()["auths"][PRIVATE] == entry("alice")
    agent.wait_for("the warning's end", lambda s: ("login_overridden", PRIVATE) not in warnings(s))


def test_what_docker_logout_drops_is_put_back(make_agent: MakeAgent, machine: Machine) -> None:
    """The agent restores its removed entry within 5 s, and a notice reports it."""
    agent = make_agent()
    agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))
    agent.start().wait_logged_in(PRIVATE)

    assert machine.namespace.run("docker", "logout", PRIVATE, env=agent.env).returncode == 0
    assert PRIVATE not in agent.docker_config()["auths"]

    until("the entry's return", lambda: agent.docker_config()["auths"].get(PRIVATE) == entry("alice"))
    status = agent.wait_for("the notice", lambda s: ("login_restored", PRIVATE) in warnings(s))
    assert status["condition"] == "healthy"


def test_logins_by_hand_at_the_same_moment_lose_nothing(make_agent: MakeAgent, machine: Machine) -> None:
    """While the agent logs in to twenty registries, a person logs in repeatedly. In the end, no login is missing."""
    agent = make_agent()
    for name in MANY:
        agent.give(name.partition(".")[0], name, username=name, password=password(name))
    agent.start()
    for user in (*MANY[:5], "alice"):
        log_in_by_hand(agent, machine, user)
    agent.wait_logged_in(*MANY)

    expected = {PRIVATE: entry("alice"), **{name: entry(name) for name in MANY}}
    until("everything in config.json", lambda: agent.docker_config()["auths"] == expected)


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("configuration", [{"credHelpers": {ECR: "ecr-login"}}, {"credsStore": "ecr-login"}], ids=list)
def test_a_persons_helper_that_works_is_left_alone(make_agent: MakeAgent, configuration: dict[str, object]) -> None:
    """This is Amazon's own helper, common in images made for AWS. A notice reports it. Nothing is written."""
    need("docker-credential-ecr-login")
    agent = make_agent()
    (agent.docker / "config.json").write_text(json.dumps(configuration))
    agent.give("team-ecr", ECR, **NATIVE)
    for _ in range(2):
        agent.start().wait_logged_in(ECR)
        status = agent.wait_for("the notice", lambda s: ("login_overridden", ECR) in warnings(s))
        (warning,) = (w for w in status["warnings"] if w["subject"] == ECR)
        assert (warning["severity"], status["condition"]) == ("notice", "healthy")
        assert "docker-credential-ecr-login, which works" in warning["message"]
        row = agent.registry(ECR)
        assert row is not None
        assert row["last_error"] is None
        assert agent.end() == 0
    assert agent.docker_config() == configuration


def test_a_helper_that_cannot_store_costs_only_its_registry(make_agent: MakeAgent) -> None:
    """Amazon's own helper has no login for another registry, and stores none. The other registry is logged in."""
    need("docker-credential-ecr-login")
    agent = make_agent()
    before = {"credHelpers": {MANY[0]: "ecr-login"}}
    (agent.docker / "config.json").write_text(json.dumps(before))
    agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))
    agent.give("team-helped", MANY[0], username=MANY[0], password=password(MANY[0]))

    agent.start().wait_logged_in(PRIVATE)
    status = agent.wait_for("the warning", lambda s: ("credential_store_failed", MANY[0]) in warnings(s))
    message = next(w["message"] for w in status["warnings"] if w["code"] == "credential_store_failed")
    assert "ecr-login" in message
    assert agent.docker_config() == {**before, "auths": {PRIVATE: entry("alice")}}


def test_the_docker_from_snap_uses_our_login(make_agent: MakeAgent, machine: Machine, tmp_path: Path) -> None:
    """It has another home directory, and may not read the agent's. A login that a person makes with it stays too."""
    program = install_snap(tmp_path, Path(str(shutil.which("docker"))))
    agent = make_agent(PATH=f"{program.parent}:{os.environ['PATH']}")
    agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))
    status = agent.start().wait_logged_in(PRIVATE)
    assert status["tools"]["docker"]["flavor"] == "snap"
    config = agent.docker.parent / "snap/docker/current/.docker/config.json"
    assert json.loads(config.read_text())["auths"] == {PRIVATE: entry("alice")}
    assert not (agent.docker / "config.json").exists()
    log_in_by_hand(agent, machine, MANY[0])
    agent.wait_for("the warning", lambda s: ("login_overridden", PRIVATE) in warnings(s))
    assert json.loads(config.read_text())["auths"] == {PRIVATE: entry(MANY[0])}
