"""The tools are looked at again and again, with real programs on PATH."""

import asyncio
from pathlib import Path

import pytest

from agent.edge.docker_cli import DockerCli
from agent.edge.docker_engine import DockerEngine
from agent.edge.tool_probes import ToolProbes
from agent.model.status import Engine
from agent.services.board import Board
from agent.services.tools import ToolWatch
from tests.fakes import FakeClock, FakeJournal, FakeLog, NoLookout, process


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Stage:
    def __init__(self, tmp_path: Path) -> None:
        self.bin = tmp_path / "bin"
        self.bin.mkdir(mode=0o755)
        environ = {"PATH": f"{self.bin}", "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
        self.clock = FakeClock()
        self.board = Board(process(), self.clock.now, FakeJournal())
        self.engine = DockerEngine(environ)
        cli = DockerCli(environ, tmp_path / "run")
        self.came = 0
        self.tools = ToolWatch(
            ToolProbes(environ, cli, self.engine),
            self.clock,
            self.board,
            FakeLog(),
            NoLookout(),
            engine_address=self.engine.address,
            on_docker=self._note,
        )

    def codes(self) -> set[str]:
        return {warning.code for warning in self.board.snapshot.warnings} - {"engine_unreachable"}

    def _note(self) -> None:
        self.came += 1


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_a_docker_that_comes_later_is_found_and_told(stage: Stage) -> None:
    """docker_cli_missing goes by itself, and the logins hear of it."""
    await stage.tools.look()
    assert stage.codes() == {"docker_cli_missing"}
    assert stage.tools.docker is None
    program(stage.bin / "docker", "echo Docker version 28.2.2, build e6534b4")
    await stage.tools.look()
    assert stage.codes() == set()
    assert stage.came == 1
    assert stage.board.snapshot.tools.docker.version == "28.2.2"
    (stage.bin / "docker").unlink()
    await stage.tools.look()
    assert stage.codes() == {"docker_cli_missing"}


@pytest.mark.parametrize("text", ["exit 1", "kill -9 $$", "echo podman version 4.9", "true"])
async def test_a_docker_that_makes_no_sense_is_told(stage: Stage, text: str) -> None:
    """Failing, killed, another program under its name, silent: docker_cli_failed, until it is mended."""
    program(stage.bin / "docker", text)
    await stage.tools.look()
    assert stage.codes() == {"docker_cli_failed"}
    program(stage.bin / "docker", "echo Docker version 20.10.24+dfsg1, build 297e128")
    await stage.tools.look()
    assert stage.codes() == set()
    assert stage.board.snapshot.tools.docker.version == "20.10.24+dfsg1"


async def test_a_missing_aws_is_a_notice_only_with_ecr_secrets(stage: Stage) -> None:
    """Who has no ECR secret hears nothing of aws."""
    program(stage.bin / "docker", "echo Docker version 28.2.2, build e6534b4")
    await stage.tools.look()
    assert stage.codes() == set()
    stage.tools.want_aws(wanted=True)
    await stage.tools.look()
    assert stage.codes() == {"aws_cli_missing"}
    program(stage.bin / "aws", "echo aws-cli/2.9.19 Python/3.11.2 Linux/6.1")
    await stage.tools.look()
    assert stage.codes() == set()
    assert stage.board.snapshot.tools.aws.version == "2.9.19"


async def test_an_engine_that_is_not_there_is_unreachable(stage: Stage) -> None:
    """A notice: logins work without one."""
    await stage.tools.look()
    assert stage.board.snapshot.tools.engine is Engine.UNREACHABLE
    assert "engine_unreachable" in {warning.code for warning in stage.board.snapshot.warnings}


async def test_an_engine_that_stays_silent_is_unresponsive(tmp_path: Path) -> None:
    """The socket accepts and nothing comes: told apart within the SDK's deadline."""
    held: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    path = tmp_path / "docker.sock"
    server = await asyncio.start_unix_server(silent, path)
    engine = DockerEngine({"DOCKER_HOST": f"unix://{path}"}, timeout_s=1)
    assert await engine.state() is Engine.UNRESPONSIVE
    for writer in held:
        writer.close()
    server.close()
