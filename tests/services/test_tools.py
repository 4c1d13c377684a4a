"""The tools are checked regularly, with real programs on PATH."""

import asyncio
from pathlib import Path

import pytest

from agent.edge.docker_cli import DockerCli
from agent.edge.docker_engine import DockerEngine
from agent.edge.tool_probes import ToolProbes
from agent.model.engine import EngineAnswer
from agent.model.problems.environment import no_docker
from agent.model.status import Engine, Flavor, Phase
from agent.services.board import Board
from agent.services.tools import ToolWatch
from tests.codes.servers import Engine as EngineServer
from tests.fakes import FakeClock, FakeLog, NoFileWatcher, process
from tests.rig.waiting import eventually


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Stage:
    def __init__(self, tmp_path: Path, phase: Phase = Phase.RUNNING) -> None:
        self.bin = tmp_path / "bin"
        self.bin.mkdir(mode=0o755)
        environ = {"PATH": f"{tmp_path}/earlier:{self.bin}", "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
        self.clock = FakeClock()
        self.board = Board(process(), self.clock.now, FakeLog())
        self.board.set_phase(phase)
        self.engine = DockerEngine(environ)
        cli = DockerCli(environ, tmp_path / "run")
        self.ready = 0
        self.probes = CountedProbes(environ, cli, self.engine)
        self.tools = ToolWatch(
            self.probes,
            self.clock,
            self.board,
            FakeLog(),
            NoFileWatcher(),
            on_docker=self._on_ready,
        )

    def codes(self) -> set[str]:
        return {warning.code for warning in self.board.snapshot.warnings} - {"engine_unreachable"}

    def _on_ready(self) -> None:
        self.ready += 1

    @property
    def searches(self) -> int:
        """How often the aws CLI was searched for. Each search follows one for docker."""
        return self.probes.searches


class CountedProbes(ToolProbes):
    searches = 0
    engine_checks = 0

    async def engine(self) -> EngineAnswer:
        self.engine_checks += 1
        return await super().engine()

    def find(self, name: str) -> Path | None:
        found = super().find(name)
        self.searches += name == "aws"
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def starting(tmp_path: Path) -> Stage:
    """Both programs are installed, and no registry was attempted yet."""
    stage = Stage(tmp_path, Phase.STARTING)
    program(stage.bin / "docker", "echo Docker version 28.2.2, build e6534b4")
    program(stage.bin / "aws", "echo aws-cli/2.9.19 Python/3.11.2 Linux/6.1")
    return stage


async def test_a_docker_that_is_not_used_is_not_called_missing(stage: Stage) -> None:
    """It is there, so the warning says why the agent does not start it, and not how to install it."""
    program(stage.bin / "docker", "echo Docker version 28.2.2, build e6534b4")
    (stage.bin / "docker").chmod(0o644)
    await stage.tools.look()
    (warning,) = (each for each in stage.board.snapshot.warnings if each.code == "docker_cli_missing")
    assert warning.message.startswith(f"{stage.bin}/docker is not used: it is not executable")
    assert warning.hint == f"make it executable: `chmod +x {stage.bin}/docker`"


async def test_a_check_that_finds_the_same_again_is_no_news(stage: Stage) -> None:
    """Each warning counts once, so the status and its readers are not woken every 15 s."""
    await stage.tools.look()
    before = stage.board.snapshot
    await stage.tools.look()
    assert stage.board.snapshot is before
    assert {warning.count for warning in before.warnings} == {1}


async def test_a_docker_that_is_installed_later_is_found(stage: Stage) -> None:
    """docker_cli_missing clears by itself, and the logins start."""
    await stage.tools.look()
    assert stage.codes() == {"docker_cli_missing"}
    assert stage.tools.docker is None
    program(stage.bin / "docker", "echo Docker version 28.2.2, build e6534b4")
    await stage.tools.look()
    assert stage.codes() == set()
    assert stage.ready == 1
    assert stage.board.snapshot.tools.docker.version == "28.2.2"
    (stage.bin / "docker").unlink()
    await stage.tools.look()
    assert stage.codes() == {"docker_cli_missing"}


async def test_a_docker_that_disappears_is_waited_for(tmp_path: Path) -> None:
    """It is found within 15 s, even if the same file returns before the watcher notices that it was gone."""
    stage = Stage(tmp_path)
    docker, away = stage.bin / "docker", stage.bin / "away"
    program(docker, "echo Docker version 28.2.2, build e6534b4")
    running = asyncio.create_task(stage.tools.run())
    try:
        await eventually(lambda: stage.ready == 1 and stage.clock.waiting)
        docker.rename(away)
        searches = stage.searches
        stage.tools.gone(docker, no_docker())
        assert (stage.tools.docker, stage.tools.docker_ready.is_set()) == (None, False)
        assert stage.codes() == {"docker_cli_missing"}
        stage.tools.gone(docker, no_docker())
        await eventually(lambda: stage.searches > searches)
        away.rename(docker)

        def is_back() -> bool:
            return stage.ready == 2 and not stage.codes()

        begun = stage.clock.monotonic()
        while not is_back() and stage.clock.monotonic() - begun < 60:
            await stage.clock.advance(1)
            await asyncio.sleep(0.01)
        assert is_back()
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_the_first_logins_come_before_what_is_only_reported(starting: Stage) -> None:
    """The aws CLI and the engine's child need as much of the processor as a login does."""
    looking = asyncio.create_task(starting.tools.look())
    await eventually(lambda: starting.ready == 1 and starting.clock.waiting)
    assert (starting.searches, starting.probes.engine_checks) == (0, 0)
    starting.board.set_phase(Phase.RUNNING)
    await looking
    assert (starting.board.snapshot.tools.aws.version, starting.probes.engine_checks) == ("2.9.19", 1)


async def test_a_first_login_that_hangs_does_not_hide_the_tools(starting: Stage) -> None:
    """The status shows them after ten seconds, as usual."""
    looking = asyncio.create_task(starting.tools.look())
    await eventually(lambda: starting.ready == 1 and starting.clock.waiting)
    await starting.clock.advance(10)
    await looking
    assert starting.board.snapshot.phase is Phase.STARTING
    assert (starting.board.snapshot.tools.aws.version, starting.probes.engine_checks) == ("2.9.19", 1)


async def test_a_login_that_needs_the_engine_does_not_wait_for_the_others(starting: Stage, tmp_path: Path) -> None:
    """The engine is asked at once, and only once, if the first logins meet a network that does not work."""
    engine = EngineServer()
    await engine.start(tmp_path / "docker.sock")
    try:
        assert all(await asyncio.gather(*(starting.tools.engine_reachable() for _ in range(20))))
    finally:
        await engine.stop()
    assert starting.probes.engine_checks == 1


async def test_the_warning_names_the_broken_docker_that_is_found_now(tmp_path: Path) -> None:
    """Not the one that was found first."""
    stage = Stage(tmp_path)
    program(stage.bin / "docker", "exit 1")
    await stage.tools.look()
    (tmp_path / "earlier").mkdir(mode=0o755)
    program(tmp_path / "earlier/docker", "exit 1")
    await stage.tools.look()
    (warning,) = [each for each in stage.board.snapshot.warnings if each.code == "docker_cli_failed"]
    assert str(tmp_path / "earlier/docker") in warning.message


@pytest.mark.parametrize("text", ["exit 1", "kill -9 $$", "echo nerdctl version 1.7.6", "true"])
async def test_a_broken_docker_is_reported(stage: Stage, text: str) -> None:
    """It fails, is killed, is another program, or prints nothing: docker_cli_failed, until it works."""
    program(stage.bin / "docker", text)
    await stage.tools.look()
    assert stage.codes() == {"docker_cli_failed"}
    program(stage.bin / "docker", "echo Docker version 20.10.24+dfsg1, build 297e128")
    await stage.tools.look()
    assert stage.codes() == set()
    assert stage.board.snapshot.tools.docker.version == "20.10.24+dfsg1"


@pytest.mark.parametrize("name", ["docker", "podman"])
async def test_podman_logs_in_without_a_warning(stage: Stage, name: str) -> None:
    """As docker, or alone. It needs no engine. A docker that is installed later takes its place."""
    program(stage.bin / name, "echo podman version 4.3.1")
    await stage.tools.look()
    tools = stage.board.snapshot.tools
    assert (tools.flavor, tools.podman.version, tools.docker.present) == (Flavor.PODMAN, "4.3.1", name == "docker")
    assert (stage.tools.docker, stage.ready) == (stage.bin / name, 1)
    assert stage.board.snapshot.warnings == ()
    program(stage.bin / "docker", "echo Docker version 28.2.2, build e6534b4")
    await stage.tools.look()
    tools = stage.board.snapshot.tools
    assert (tools.flavor, tools.docker.version) == (Flavor.DOCKER, "28.2.2")


async def test_a_missing_aws_is_a_notice_only_with_ecr_secrets(stage: Stage) -> None:
    """Without an ECR secret, a missing aws CLI is not reported."""
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


async def test_a_missing_engine_is_unreachable(stage: Stage) -> None:
    """It is only a notice, because logins work without an engine."""
    await stage.tools.look()
    assert stage.board.snapshot.tools.engine is Engine.UNREACHABLE
    assert "engine_unreachable" in {warning.code for warning in stage.board.snapshot.warnings}


async def test_an_engine_that_stays_silent_is_unresponsive(tmp_path: Path) -> None:
    """The socket accepts connections and sends nothing. This is detected within the SDK's deadline."""
    writers: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    path = tmp_path / "docker.sock"
    server = await asyncio.start_unix_server(silent, path)
    engine = DockerEngine({"DOCKER_HOST": f"unix://{path}"}, timeout_s=1)
    assert (await engine.ask()).state is Engine.UNRESPONSIVE
    for writer in writers:
        writer.close()
    server.close()
