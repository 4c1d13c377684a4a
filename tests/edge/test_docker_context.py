"""The engine of the current context, with contexts that the real docker CLIs made."""

import hashlib
import json
import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from agent.edge.docker_context import DEFAULT, find_endpoint
from agent.edge.docker_engine import DockerEngine
from agent.model.engine import EngineAnswer, engine_problem
from agent.model.status import Engine
from tests.prepare.steps import DOCKER_CLIS
from tests.rig.needs import prepared


def docker(release: str, config: Path, *args: str) -> None:
    program = prepared(DOCKER_CLIS) / release / "docker"
    subprocess.run(
        [program, "--config", config, *args], env={"HOME": str(config)}, check=True, capture_output=True, timeout=60
    )


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_the_current_context_decides(tmp_path: Path, release: str) -> None:
    """DOCKER_CONTEXT comes before it, and DOCKER_HOST before both."""
    for name in ("rootless", "other one"):
        named = name.replace(" ", "-")
        docker(release, tmp_path, "context", "create", named, "--docker", f"host=unix:///run/{named}.sock")
    assert find_endpoint({}, tmp_path).address == DEFAULT
    docker(release, tmp_path, "context", "use", "rootless")
    rootless = "unix:///run/rootless.sock"
    assert find_endpoint({}, tmp_path)[:2] == (rootless, {"DOCKER_HOST": rootless})
    assert find_endpoint({"DOCKER_CONTEXT": "other-one"}, tmp_path).address == "unix:///run/other-one.sock"
    assert find_endpoint({"DOCKER_CONTEXT": "default"}, tmp_path).address == DEFAULT
    assert find_endpoint({"DOCKER_CONTEXT": "other-one", "DOCKER_HOST": "tcp://h:1"}, tmp_path).address == "tcp://h:1"
    docker(release, tmp_path, "context", "use", "default")
    assert find_endpoint({}, tmp_path).address == DEFAULT


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_a_context_brings_its_certificates(tmp_path: Path, release: str) -> None:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    docker(release, tmp_path, "context", "create", "far", "--docker", f"host=tcp://far:2376,ca={authority}")
    endpoint = find_endpoint({"DOCKER_CONTEXT": "far", "DOCKER_API_VERSION": "1.40"}, tmp_path)
    assert endpoint.env["DOCKER_TLS_VERIFY"] == "1"
    assert (Path(endpoint.env["DOCKER_CERT_PATH"]) / "ca.pem").read_text() == authority.read_text()
    assert endpoint.env["DOCKER_API_VERSION"] == "1.40"


@pytest.mark.parametrize("current", ["gone", "../../../etc", "\ud800"], ids=["removed", "a path", "not UTF-8"])
def test_a_context_that_does_not_exist_has_no_engine(tmp_path: Path, current: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": current}))
    endpoint = find_endpoint({}, tmp_path)
    assert (endpoint.env, "does not exist" in endpoint.address) == ({}, True)


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
async def test_the_hint_about_a_context_that_does_not_exist_works(tmp_path: Path, release: str) -> None:
    """To start Docker would not help: docker fails before it asks an engine."""
    (tmp_path / "config.json").write_text('{"currentContext": "gone"}')
    problem = engine_problem(await DockerEngine({}, tmp_path).ask())
    assert problem is not None
    (pasted,) = re.findall("`docker (.*?)`", problem.hint)
    assert pasted.startswith(f"--context default --config {tmp_path} ")
    docker(release, tmp_path, *shlex.split(pasted))
    assert find_endpoint({}, tmp_path).address == DEFAULT
    problem = engine_problem(await DockerEngine({"DOCKER_CONTEXT": "gone"}, tmp_path).ask())
    assert problem is not None
    assert "unset DOCKER_CONTEXT" in problem.hint


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_a_context_without_a_host_means_the_default_engine(tmp_path: Path, release: str) -> None:
    docker(release, tmp_path, "context", "create", "bar", "--docker", "skip-tls-verify=true")
    assert find_endpoint({"DOCKER_CONTEXT": "bar"}, tmp_path).env["DOCKER_HOST"] == DEFAULT


def test_a_context_that_cannot_be_read_is_not_called_missing(tmp_path: Path) -> None:
    meta = tmp_path / "contexts/meta" / hashlib.sha256(b"torn").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text("[1]")
    endpoint = find_endpoint({"DOCKER_CONTEXT": "torn"}, tmp_path)
    assert (endpoint.env, endpoint.address) == ({}, "the docker context torn, which cannot be read")


@pytest.mark.parametrize(
    ("environ", "shown", "fix"),
    [
        ({"DOCKER_HOST": "tcp://ada:hunter2/@h:2375"}, "tcp://h:2375", "fix or unset DOCKER_HOST"),
        ({"DOCKER_HOST": "/run/d.sock"}, "/run/d.sock, which is a path without unix://", "write unix://"),
        ({"DOCKER_HOST": "http://h:1"}, "http://h:1, because docker does not accept http://", "use tcp://"),
        (
            {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nonexistent"},
            "tcp://h:2376, for which /nonexistent/ca.pem is missing",
            "put ca.pem into /nonexistent",
        ),
    ],
    ids=["password", "path", "scheme", "certificate"],
)
def test_the_hint_about_docker_host_names_it(tmp_path: Path, environ: dict[str, str], shown: str, fix: str) -> None:
    """To start Docker on this machine would not help. A password in the address is not shown."""
    endpoint = find_endpoint(environ, tmp_path)
    problem = engine_problem(EngineAnswer(Engine.UNREACHABLE, endpoint.address, hint=endpoint.hint))
    assert problem is not None
    assert problem.message == f"no Docker engine answers at {shown}"
    assert fix in problem.hint
    assert "systemctl" not in problem.hint
    assert "hunter2" not in repr(problem)


async def test_an_engine_that_answers_with_an_error_is_not_called_silent(tmp_path: Path) -> None:
    """Docker Desktop does this while it starts."""

    async def fail(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=500, text="booting")

    runner = web.ServerRunner(web.Server(fail))
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
    problem = engine_problem(await DockerEngine({"DOCKER_HOST": f"unix://{tmp_path}/engine.sock"}, tmp_path).ask())
    await runner.cleanup()
    assert problem is not None
    assert problem.message.endswith("engine.sock answers with status 500")
    assert problem.hint.startswith("wait until Docker has started")


def test_a_rootless_engine_is_named_if_nothing_chooses_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "docker.sock"))
        endpoint = find_endpoint({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path)
    assert (endpoint.hint or "").startswith(f"set DOCKER_HOST to unix://{tmp_path}/docker.sock")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"currentContext": 7}', '{"currentContext": ""}'])
def test_a_configuration_that_cannot_be_read_means_the_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert find_endpoint({}, tmp_path).address == DEFAULT


def test_a_pipe_as_configuration_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert find_endpoint({}, tmp_path).address == DEFAULT
