"""The engine of the current context, with contexts that the real docker CLIs made."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import trustme

from agent.edge.docker_context import DEFAULT, Endpoint, find_endpoint
from agent.edge.docker_engine import DockerEngine
from agent.model.engine import engine_problem
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
    assert find_endpoint({}, tmp_path) == Endpoint(rootless, {"DOCKER_HOST": rootless})
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


@pytest.mark.parametrize("text", ["", "{", "[]", '{"currentContext": 7}', '{"currentContext": ""}'])
def test_a_configuration_that_cannot_be_read_means_the_default(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert find_endpoint({}, tmp_path).address == DEFAULT


def test_a_pipe_as_configuration_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert find_endpoint({}, tmp_path).address == DEFAULT
