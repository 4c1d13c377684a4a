"""Real programs ask the agent for a login: the docker CLIs of three releases, podman and skopeo."""

import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    """The same directory, with the docker CLI of a release too."""
    install_docker(programs, request.param)
    return programs


def environ(agent: Agent, *programs: Path) -> Mapping[str, str]:
    path = ":".join([*map(str, programs), SYSTEM])
    return {"PATH": path, "REGISTRY_AGENT_SOCKET": str(agent.socket)}


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


def test_podman_and_skopeo_get_the_login(
    agent: Agent, machine: Machine, engine: Engine, programs: Path, image: str
) -> None:
    need("podman", "skopeo")
    env = {**agent.env, **environ(agent, programs)}
    engine.must("push", image, config=agent.docker, env=environ(agent, programs))
    known = machine.namespace.run("podman", "login", "--get-login", PRIVATE, env=env)
    assert known.stdout.strip() == "alice", known.stderr
    config = agent.docker / "config.json"
    seen = machine.namespace.run("skopeo", "inspect", "--authfile", config, f"docker://{image}", env=env)
    assert seen.returncode == 0, seen.stderr


def test_a_pull_shows_why_there_is_no_login(
    agent: Agent, engine: Engine, programs: Path, image: str, tmp_path: Path
) -> None:
    """An agent that does not answer, one that is not there, and a secret whose password is wrong."""
    for release in RELEASES:
        (tmp_path / release).mkdir()
        install_docker(tmp_path / release, release)

    def pull(release: str) -> str:
        env = environ(agent, tmp_path / release, programs)
        done = engine.docker("pull", image, config=agent.docker, env=env)
        assert done.returncode != 0
        return done.stdout + done.stderr

    def each_shows(reason: str) -> None:
        """Each CLI waits for the same answer, so all pull at once."""
        with ThreadPoolExecutor() as pool:
            for shown in pool.map(pull, RELEASES):
                assert reason in shown

    agent.watch_no_longer()
    agent.send(signal.SIGSTOP)
    each_shows("registry-agent did not answer within 15 s")
    agent.send(signal.SIGCONT)
    assert agent.end() == 0
    each_shows(f"registry-agent has no login for {PRIVATE}: registry-agent is not running")

    agent.give("team", PRIVATE, username="alice", password="wrong-password")
    agent.start().wait_for("the rejection", lambda s: [row["state"] for row in s["registries"]] == ["rejected"])
    each_shows(f"{PRIVATE} refused the user name or password of secret team")
