"""Real programs ask the agent for a login: the docker CLIs of three releases, podman, skopeo and docker-py."""

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.codes.programs import install_docker
from tests.e2e.conftest import IMAGE, PRIVATE, MakeAgent, password
from tests.rig.agent import Agent
from tests.rig.engine import Engine
from tests.rig.helper import install_helper, secret_files
from tests.rig.machine import Machine
from tests.rig.needs import need
from tests.rig.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("private")]

NAME = f"{PRIVATE}/{IMAGE}"
PASSWORD = password("alice")
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RELEASES = ("bookworm", "trixie", "sid")
_LATE_S: Final = 2.0
_PODMAN: Final = ("podman", "--root=/run/podman", "--runroot=/run/podman-run", "--storage-driver=vfs")
_DOCKER_PY: Final = "import docker, sys; docker.from_env().images.pull(sys.argv[1])"
OTHERS: Final = {
    "podman": (*_PODMAN, "pull", NAME),
    "skopeo": ("skopeo", "inspect", f"docker://{NAME}"),
    "docker-py": (sys.executable, "-c", _DOCKER_PY, NAME),
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory that is first on the PATH of the agent and of docker, with the credential helper in it."""
    directory = tmp_path / "programs"
    directory.mkdir()
    install_helper(directory)
    return directory


@pytest.fixture
def agent(make_agent: MakeAgent, programs: Path) -> Agent:
    """An agent that has logged in, and keeps the login in memory."""
    agent: Agent = make_agent({"docker": {"store": "helper"}}, PATH=f"{programs}:{SYSTEM}")
    agent.give("team", PRIVATE, username="alice", password=PASSWORD)
    agent.start().wait_logged_in(PRIVATE)
    line = {PRIVATE: "registry-agent"}
    until("the line", lambda: agent.docker_config().get("credHelpers") == line)
    return agent


@pytest.fixture
def image(engine: Engine) -> str:
    engine.make_image(NAME)
    return NAME


@pytest.fixture(params=RELEASES)
def programs_of_release(programs: Path, request: pytest.FixtureRequest) -> Path:
    """The same directory, also with the docker CLI of a release."""
    install_docker(programs, request.param)
    return programs


def environ(agent: Agent, programs: Path) -> Mapping[str, str]:
    return {"PATH": f"{programs}:{SYSTEM}", "REGISTRY_AGENT_SOCKET": str(agent.socket)}


def test_a_docker_cli_does_all_its_work_with_a_login_in_memory(
    agent: Agent, engine: Engine, programs_of_release: Path, image: str, tmp_path: Path
) -> None:
    """It pushes, pulls, builds, logs in again and logs out. No file contains the password."""
    env, config = environ(agent, programs_of_release), agent.docker
    engine.must("push", image, config=config, env=env)
    engine.must("rmi", image, config=config, env=env)
    engine.must("pull", image, config=config, env=env)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {image}\nCOPY Dockerfile /from-private\n")
    classic = {**env, "DOCKER_BUILDKIT": "0"}
    engine.must("rmi", image, config=config, env=env)
    engine.must("build", "--network=none", "--tag=built", context, config=config, env=classic)
    engine.must("login", PRIVATE, config=config, env=env)
    engine.must("logout", PRIVATE, config=config, env=env)
    engine.must("rmi", image, config=config, env=env)
    engine.must("pull", image, config=config, env=env)
    assert secret_files(agent.docker.parent, PASSWORD, without=agent.secrets) == []


@pytest.mark.parametrize("client", [*RELEASES, *OTHERS])
def test_a_client_gets_the_login_or_the_reason(
    agent: Agent, machine: Machine, engine: Engine, programs: Path, image: str, *, client: str
) -> None:
    """The agent works, answers late, does not run, or has a password that the registry refuses."""
    if client in OTHERS:
        need(OTHERS[client][0])
    else:
        install_docker(programs, client)
    engine.must("push", image, config=agent.docker, env=environ(agent, programs))
    command = OTHERS.get(client, ("docker", "pull", NAME))

    def request() -> subprocess.CompletedProcess[str]:
        return machine.namespace.run(*command, env={**agent.env, **environ(agent, programs)})

    def reason() -> str:
        done = request()
        assert done.returncode != 0
        return done.stdout + done.stderr

    done = request()
    assert done.returncode == 0, done.stderr

    agent.watch_no_longer()
    agent.send(signal.SIGSTOP)
    later = threading.Timer(_LATE_S, agent.send, [signal.SIGCONT])
    later.start()
    done = request()
    later.join()
    assert done.returncode == 0, done.stderr

    assert agent.end() == 0
    assert f"registry-agent has no login for {PRIVATE}: registry-agent is not running" in reason()

    agent.give("team", PRIVATE, username="alice", password="wrong-password")
    agent.start().wait_for("the rejection", lambda s: [row["state"] for row in s["registries"]] == ["rejected"])
    assert f"{PRIVATE} refused the user name or password of secret team" in reason()


def test_a_pull_ends_if_the_agent_hangs(agent: Agent, engine: Engine, programs: Path, image: str) -> None:
    """Docker itself would wait forever."""
    agent.watch_no_longer()
    agent.send(signal.SIGSTOP)
    done = engine.docker("pull", image, config=agent.docker, env=environ(agent, programs))
    agent.send(signal.SIGCONT)
    assert done.returncode != 0
    assert "registry-agent did not answer within 15 s" in done.stdout + done.stderr


@pytest.mark.parametrize("client", ["podman", "skopeo", "docker-py"])
def test_a_client_gets_the_reason_before_the_first_login(
    make_agent: MakeAgent, machine: Machine, programs: Path, *, client: str
) -> None:
    """The secret has never worked. Without a line, the client would only show that it is not authorized."""
    need(OTHERS[client][0])
    agent = make_agent({"docker": {"store": "helper"}}, PATH=f"{programs}:{SYSTEM}")
    agent.give("team", PRIVATE, username="alice", password="wrong-password")
    agent.start().wait_for("the rejection", lambda s: [row["state"] for row in s["registries"]] == ["rejected"])
    done = machine.namespace.run(*OTHERS[client], env={**agent.env, **environ(agent, programs)})
    assert done.returncode != 0
    assert f"{PRIVATE} refused the user name or password of secret team" in done.stdout + done.stderr
