"""Tests of `docker login` in a private directory: it leaves nothing behind, whatever happens to the agent."""

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.edge.docker_cli import DockerCli
from agent.edge.process import ProcessTimeout
from agent.model.credential import Credential
from agent.model.problems.environment import NotDockersCli
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.model.status import Flavor
from tests.problems import raises_problem
from tests.rig.needs import need
from tests.rig.snap import install_snap
from tests.rig.waiting import eventually

REGISTRY = parse_hostname("ghcr.io")
BOB = Credential("--bob", Sensitive("hunter2-secret"))
# Saves a login as the docker CLI does: with the password from stdin, after a while.
SAVES = """#!{python}
import json, os, sys, time
if sys.argv[1:] == ["--version"]:
    print("Docker version 28.2.2, build e6534b4")
    sys.exit()
config = sys.argv[sys.argv.index("--config") + 1]
with open({seen!r}, "w") as seen:
    json.dump({{"argv": sys.argv, "environ": dict(os.environ), "before": open(config + "/config.json").read()}}, seen)
time.sleep({seconds})
os.makedirs(config, exist_ok=True)
with open(config + "/config.json", "w") as file:
    json.dump({{"auths": {{"ghcr.io": {{"auth": "Ym9i", "password": sys.stdin.read()}}}}}}, file)
"""


def fake_docker(tmp_path: Path, seconds: float = 0) -> Path:
    program = tmp_path / "docker"
    program.write_text(SAVES.format(python=sys.executable, seen=str(tmp_path / "seen.json"), seconds=seconds))
    program.chmod(0o755)
    return program


def cli(tmp_path: Path) -> DockerCli:
    return DockerCli({"PATH": os.environ["PATH"], "DOCKER_HOST": "tcp://engine", "SECRET_TOKEN": "x"}, tmp_path / "run")


async def test_returns_the_result_and_leaves_nothing(tmp_path: Path) -> None:
    """The directory is removed. The password was never in a command line or in the environment."""
    result = await cli(tmp_path).login(fake_docker(tmp_path), REGISTRY, BOB, timeout=20, through_engine=False)
    assert result.entry == {"auth": "Ym9i", "password": "hunter2-secret"}
    assert list((tmp_path / "run").iterdir()) == []
    recorded = json.loads((tmp_path / "seen.json").read_text())
    assert "hunter2" not in str(recorded)
    assert "--username=--bob" in recorded["argv"]
    assert recorded["environ"]["DOCKER_HOST"].startswith("unix://")
    assert "SECRET_TOKEN" not in recorded["environ"]
    assert "registry-agent.invalid" in recorded["before"]


@pytest.mark.parametrize(
    ("named", "trusted"),
    [
        ({"AWS_CA_BUNDLE": "/a.pem"}, "/a.pem"),
        ({"AWS_CA_BUNDLE": "/a.pem", "SSL_CERT_FILE": "/s.pem"}, "/s.pem"),
        ({}, None),
    ],
)
async def test_passes_a_ca_bundle_from_either_variable(
    tmp_path: Path, named: dict[str, str], trusted: str | None
) -> None:
    """The docker CLI knows only SSL_CERT_FILE. It trusts that file in addition to the system's roots."""
    docker = DockerCli({"PATH": os.environ["PATH"], **named}, tmp_path / "run")
    await docker.login(fake_docker(tmp_path), REGISTRY, BOB, timeout=20, through_engine=False)
    assert json.loads((tmp_path / "seen.json").read_text())["environ"].get("SSL_CERT_FILE") == trusted


async def test_uses_the_engine_on_request(tmp_path: Path) -> None:
    """The person's own DOCKER_HOST is used then."""
    await cli(tmp_path).login(fake_docker(tmp_path), REGISTRY, BOB, timeout=20, through_engine=True)
    assert json.loads((tmp_path / "seen.json").read_text())["environ"]["DOCKER_HOST"] == "tcp://engine"


async def test_a_hanging_login_leaves_nothing(tmp_path: Path) -> None:
    """It is killed at its deadline, and its directory is removed."""
    with pytest.raises(ProcessTimeout):
        await cli(tmp_path).login(fake_docker(tmp_path, 60), REGISTRY, BOB, timeout=0.5, through_engine=False)
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_login_that_is_cancelled_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    """Also while a thread makes its directory. A changed secret ends a login like this."""
    docker, program = cli(tmp_path), fake_docker(tmp_path, 600)
    await docker.version(program)
    for turns in range(40):
        login = asyncio.create_task(docker.login(program, REGISTRY, BOB, timeout=600, through_engine=False))
        for _ in range(turns):
            await asyncio.sleep(0)
        login.cancel()
        await asyncio.gather(login, return_exceptions=True)

    def left() -> list[str]:
        descriptors = map(os.path.realpath, Path("/proc/self/fd").iterdir())
        return [name for name in [*descriptors, *map(str, tmp_path.glob("run/*"))] if "logins-" in name]

    await eventually(lambda: not left())


@pytest.mark.parametrize("name", ["logins-left", "logins/left"])
async def test_the_next_start_kills_the_login_of_a_killed_agent(tmp_path: Path, name: str) -> None:
    """After a kill -9 of the agent, the login would still write the password to a file. 1.0.0 used `logins`."""
    program = fake_docker(tmp_path, 60)
    directory = tmp_path / "run" / name
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    orphan = await asyncio.create_subprocess_exec(
        program, "--config", directory, "login", stdin=subprocess.DEVNULL, start_new_session=True
    )
    await eventually((tmp_path / "seen.json").exists)
    await asyncio.to_thread(cli(tmp_path).clean_up)
    assert await orphan.wait() < 0
    assert list((tmp_path / "run").iterdir()) == []


async def test_the_next_start_kills_only_the_podman_login_of_a_killed_agent(tmp_path: Path) -> None:
    """It has no argument that names the directory.

    Other variables with that path, such as PWD, do not count, nor do other commands of podman: the process that keeps
    its user namespace inherits the variable.
    """
    directory = tmp_path / "run/logins-left"
    directory.mkdir(parents=True)
    program = [sys.executable, "-c", "import time; time.sleep(60)"]
    orphan, *others = [
        await asyncio.create_subprocess_exec(*program, word, env={variable: f"{directory}/config.json"})
        for word, variable in (("login", "REGISTRY_AUTH_FILE"), ("login", "PWD"), ("pause", "REGISTRY_AUTH_FILE"))
    ]
    try:
        await asyncio.to_thread(cli(tmp_path).clean_up)
        assert await orphan.wait() < 0
        assert all(_runs(other.pid) for other in others)
    finally:
        for other in others:
            other.kill()
            await other.wait()


def _runs(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


async def test_a_start_leaves_a_login_of_another_agent_alone(tmp_path: Path) -> None:
    """The other one may be `run --once` or the doctor. It may also be about to start docker."""
    login = asyncio.create_task(
        cli(tmp_path).login(fake_docker(tmp_path, 0.5), REGISTRY, BOB, timeout=20, through_engine=False)
    )
    while not login.done():
        await asyncio.to_thread(cli(tmp_path).clean_up)
    assert (await login).entry == {"auth": "Ym9i", "password": "hunter2-secret"}


async def test_others_may_enter_the_runtime_directory(tmp_path: Path) -> None:
    """The agent's group uses the status socket in it, whichever process made the directory."""
    before = os.umask(0o077)
    try:
        await cli(tmp_path).login(fake_docker(tmp_path), REGISTRY, BOB, timeout=20, through_engine=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755


async def test_the_docker_from_snap_logs_in_where_it_may_read(tmp_path: Path) -> None:
    """It is confined, so it can use neither the runtime directory nor hidden directories. Nothing is left behind."""
    program = install_snap(tmp_path, fake_docker(tmp_path))
    docker = DockerCli({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, tmp_path / "run")
    assert await docker.version(program) == "28.2.2"
    assert docker.flavor is Flavor.SNAP
    result = await docker.login(program, REGISTRY, BOB, timeout=20, through_engine=False)
    assert result.entry == {"auth": "Ym9i", "password": "hunter2-secret"}
    own = tmp_path / "snap/docker/common/registry-agent"
    assert list(own.iterdir()) == []
    abandoned = own / "logins-killed"
    abandoned.mkdir(mode=0o700)
    docker.clean_up()
    assert not abandoned.exists()


async def test_reports_a_runtime_directory_that_is_not_writable(tmp_path: Path) -> None:
    """It is the agent's own directory, so the message names it and the solution."""
    (tmp_path / "run").write_text("a file")
    with raises_problem(ConfigUnwritable, match="runtime directory"):
        await cli(tmp_path).login(fake_docker(tmp_path), Registry("ghcr.io"), BOB, timeout=5, through_engine=False)


async def test_a_long_runtime_directory_works(tmp_path: Path) -> None:
    """The real CLI gets as far as connecting to the registry. Only the paths of sockets must be short."""
    need("docker")
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    docker = Path(str(shutil.which("docker")))
    nobody = parse_hostname("127.0.0.1:1")
    result = await DockerCli({"PATH": os.environ["PATH"]}, deep).login(
        docker, nobody, BOB, timeout=20, through_engine=False
    )
    assert b"connection refused" in result.stderr


async def test_a_docker_that_is_removed_while_it_is_checked_is_no_crash(tmp_path: Path) -> None:
    """As in an upgrade of the package. The next search finds that it is gone."""
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\nrm "$0"\necho Docker version 28.2.2, build e6534b4\n')
    program.chmod(0o755)
    docker = cli(tmp_path)
    assert await docker.version(program) == "28.2.2"
    with raises_problem(NotDockersCli, match="does not start: No such file"):
        await docker.version(program)
