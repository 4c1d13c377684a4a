"""Tests that only Docker's own CLI gets a password: it is checked once per file, and again at each login."""

import asyncio
import math
import os
import shutil
from pathlib import Path
from typing import Final

import pytest

from agent.edge import docker_verifier
from agent.edge.docker_verifier import DockerVerifier
from agent.edge.process import run
from agent.model.docker_programs import foreign_program, own_version, podman_version
from agent.model.problem import ProblemError
from agent.model.problems.environment import DockerCliFailed, NotDockersCli
from agent.model.status import Flavor
from tests.codes.programs import script
from tests.problems import raises_problem
from tests.rig.needs import need

ENV: Final = {"PATH": "/usr/bin:/bin"}


def claims_to_be_docker(program: Path, version: str = "28.2.2") -> None:
    """Create a program that prints Docker's version line. It counts its calls in a file."""
    script(program, f"echo asked >>{program.with_name('asked')}", f"echo Docker version {version}, build e6534b4")


def times_asked(program: Path) -> int:
    return program.with_name("asked").read_text().count("asked")


async def test_concurrent_callers_share_one_answer(tmp_path: Path) -> None:
    """Many logins and the tool check at the same time run `docker --version` only once."""
    program = tmp_path / "docker"
    claims_to_be_docker(program)
    verifier = DockerVerifier(ENV)
    answers = await asyncio.gather(*(verifier.found(program) for _ in range(20)))
    assert {answer.version for answer in answers} == {"28.2.2"}
    assert (await verifier.found(program)).version == "28.2.2"
    assert times_asked(program) == 1


async def test_a_cancelled_caller_does_not_cancel_the_others(tmp_path: Path) -> None:
    """If one login is cancelled, the next one still gets its answer."""
    program = tmp_path / "docker"
    claims_to_be_docker(program)
    verifier = DockerVerifier(ENV)
    first, second = (asyncio.create_task(verifier.found(program)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).version == "28.2.2"


@pytest.mark.parametrize("in_place", [True, False], ids=["written", "replaced"])
async def test_checks_a_changed_file_again(tmp_path: Path, in_place: bool) -> None:
    """After a new inode with the same name, or new content in the same inode, the earlier result is invalid."""
    program = tmp_path / "docker"
    claims_to_be_docker(program)
    verifier = DockerVerifier(ENV)
    earlier = await verifier.verify(program)
    await verifier.confirm(earlier)
    if in_place:
        program.write_text("#!/bin/sh\necho nerdctl version 1.7.6\n")
    else:
        script(program, "echo nerdctl version 1.7.6")
    with raises_problem(DockerCliFailed, match="replaced while a login started"):
        await verifier.confirm(earlier)
    with raises_problem(NotDockersCli, match=r"docker is nerdctl 1\.7\.6, not Docker's own CLI"):
        await verifier.found(program)


async def test_follows_links(tmp_path: Path) -> None:
    """The target of the link is the program. The link `docker` may point to podman later."""
    program = tmp_path / "docker"
    claims_to_be_docker(tmp_path / "own")
    script(tmp_path / "podman", "echo docker version 4.3.1")
    program.symlink_to("own")
    verifier = DockerVerifier(ENV)
    assert (await verifier.verify(program)).flavor is Flavor.DOCKER
    program.unlink()
    program.symlink_to("podman")
    podman = await verifier.verify(program)
    assert (podman.flavor, podman.version) == (Flavor.PODMAN, "4.3.1")


async def test_a_compiled_program_is_trusted_until_it_changes(tmp_path: Path) -> None:
    """A script may start another program at any time, so it is checked again after a few seconds."""
    need("docker")
    claims_to_be_docker(tmp_path / "docker")
    verifier = DockerVerifier(ENV)
    assert (await verifier.verify(tmp_path / "docker")).until < math.inf
    assert (await verifier.verify(Path(str(shutil.which("docker"))))).until == math.inf


async def test_a_hanging_config_does_not_block_the_version_check(tmp_path: Path) -> None:
    """The real CLI reads config.json even for `--version`."""
    need("docker")
    (tmp_path / ".docker").mkdir()
    os.mkfifo(tmp_path / ".docker/config.json")
    verifier = DockerVerifier({**ENV, "HOME": str(tmp_path)})
    assert (await verifier.found(Path(str(shutil.which("docker"))))).version


async def test_does_not_remember_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CLI that hangs, crashes or does not exist is checked again the next time."""
    program = tmp_path / "docker"
    verifier = DockerVerifier(ENV)
    with raises_problem(NotDockersCli, match="does not start"):
        await verifier.found(program)
    script(program, "kill -9 $$")
    with raises_problem(NotDockersCli, match="killed by signal 9"):
        await verifier.found(program)
    monkeypatch.setattr(docker_verifier, "_VERSION_TIMEOUT_S", 0.2)
    script(program, "exec sleep 60")
    with raises_problem(NotDockersCli, match="did not end"):
        await verifier.found(program)
    monkeypatch.undo()
    claims_to_be_docker(program)
    assert (await verifier.found(program)).version == "28.2.2"


async def test_an_unconfirmed_program_gets_no_input(tmp_path: Path) -> None:
    """It is killed, and nothing was written to its stdin."""
    received = tmp_path / "received"

    async def refuse() -> None:
        raise ProblemError(DockerCliFailed("docker", "replaced"))

    with raises_problem(DockerCliFailed):
        await run(["sh", "-c", f"cat >{received}"], env=ENV, stdin=b"password", timeout=20, before_stdin=refuse)
    assert not received.exists() or received.read_bytes() == b""


async def test_a_program_without_a_version_is_quoted_without_secrets(tmp_path: Path) -> None:
    """Its own words show what to do, as those of the docker that WSL puts there."""
    script(tmp_path / "docker", "echo", "echo not found in this WSL 2 distro, s3cret", "exit 1")
    verifier = DockerVerifier(ENV, lambda text: text.replace("s3cret", "***"))
    with raises_problem(NotDockersCli, match=r"prints no version: not found in this WSL 2 distro, \*\*\*$"):
        await verifier.found(tmp_path / "docker")


@pytest.mark.parametrize(
    ("output", "own", "podman", "foreign"),
    [
        (b"Docker version 28.2.2, build e6534b4\n", "28.2.2", None, None),
        (b"Docker version 20.10.24+dfsg1, build 297e128\n", "20.10.24+dfsg1", None, None),
        (b"Docker version unknown-version, build unknown-commit\n", "unknown-version", None, None),
        (b"podman version 4.3.1\n", None, "4.3.1", "podman 4.3.1"),
        (b"docker version 5.4.2\n", None, "5.4.2", "docker 5.4.2"),
        (b"nerdctl version 1.7.6\n", None, None, "nerdctl 1.7.6"),
        (b"WARNING: a wrapper\nDocker version 28.2.2\n", "28.2.2", None, None),
        (b"this is no Docker version 28.2.2\n", None, None, None),
        (b"\x1b[2J evil version 1\n", None, None, None),
        (b"\xff\xfe", None, None, None),
        (b"", None, None, None),
    ],
)
def test_recognises_docker_by_its_version_line(
    output: bytes, own: str | None, podman: str | None, foreign: str | None
) -> None:
    """Podman prints the name that it was started as, but in lower case."""
    assert (own_version(output), podman_version(output), foreign_program(output)) == (own, podman, foreign)
