"""Findings of a hostile review between the components: races, limits, umasks. Each test states the broken promise."""

import asyncio
import json
import os
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

import agent.services.tools as tools_service
from agent.edge import podman_auth
from agent.edge.file_version import FileVersion, read_version
from agent.edge.podman_auth import PodmanAuthFiles
from agent.model.engine import EngineAnswer
from agent.model.registry import Registry
from agent.model.rejected_program import RejectedProgram
from agent.model.status import Engine, Flavor, Phase
from agent.observe.log import Log
from agent.observe.redaction import Scrubber
from agent.services.board import Board
from agent.services.tools import ToolWatch
from agent.web.sockets import bind_unix
from tests.codes.world import LOGIN, World
from tests.fakes import FakeClock, FakeLog, NoFileWatcher, process
from tests.hostile.screens import ATTACK, RAW, Screens
from tests.rig.waiting import PATIENCE_S
from tests.services.test_logins import GHCR, Stage

ESCAPES: Final = ATTACK.replace("\0", "").replace("/", "")


def log_lines(scrubber: Scrubber, **fields: object) -> list[str]:
    log = Log("info", "json", scrubber.scrub, {})
    try:
        log.logger.info("secrets.changed", **fields)
        return log.recent(1)
    finally:
        log.close()


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_file_name_of_several_lines(world: World, screens: Screens, style: str) -> None:
    """A valid secret in a file with a hostile name is used. The name reaches no log raw, and forges no line."""
    door = world.registry("beside")
    (world.agent.secrets / "beside.json").unlink()
    secret = {"name": "beside", "hostname": door.hostname, **LOGIN}
    name = f"beside\n[info     ] login.succeeded forged\n{ESCAPES}.json"
    (world.agent.secrets / name).write_text(json.dumps(secret))
    world.start({"log": {"format": style}, "report": {"url": f"{world.serve(screens.dashboard.handle).url}/"}})
    world.agent.wait_logged_in(door.hostname)


def test_a_traceback_obeys_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """An error of the agent may quote anything. Its lines stay lines, and move no cursor."""
    log = Log("info", "console", str, {})
    try:
        raise ValueError(f"one {ESCAPES}\ntwo")  # noqa: TRY301 - where it comes from is not the point
    except ValueError:
        log.logger.exception("login.crashed")
    log.close()
    said = capfd.readouterr().out
    assert "ValueError: one" in said
    assert "\ntwo" in said
    assert RAW.search(said) is None


@pytest.mark.parametrize("password", [",", '": "', '"}', "event", '", "level": "'])
def test_a_password_of_punctuation_leaves_json_whole(password: str) -> None:
    """Masking removes the secret from texts, but never breaks the JSON line around them."""
    scrubber = Scrubber()
    scrubber.protect([password])
    (line,) = log_lines(scrubber, added=["one", "two"], message=f"it said {password} and no more")
    said = json.loads(line)
    assert said["event"] in ("secrets.changed", "[redacted]")
    assert said["message"] == "it said [redacted] and no more"


@pytest.mark.parametrize("character", ["d", "é", "\\", "\U0001f600"])
def test_a_line_too_long_for_the_journal_is_cut_inside_its_fields(character: str) -> None:
    """The journal cuts lines at 48 KB. The agent cuts earlier, so the line is still a JSON object with its event."""
    names = [f"/{character * 900}/{number}.json#team" for number in range(50)]
    (line,) = log_lines(Scrubber(), added=names, removed=names, changed=[])
    said = json.loads(line)
    assert (said["event"], said["changed"]) == ("secrets.changed", [])
    assert said["added"].endswith("…")
    assert len(line.encode()) < 48_000


async def test_a_secret_that_comes_and_goes_while_its_logout_hangs() -> None:
    """Two logouts of one registry may run at once. The last one finds nothing to do, and does not stop the service."""
    stage = Stage()
    stage.settings.removed("logout")
    answers, turns, taken_out = asyncio.Event(), asyncio.Lock(), stage.reconciler.remove

    async def hang(
        registry: Registry, is_due: Callable[[], bool] = lambda: True, *, still_wanted: bool = False
    ) -> bool:
        async with turns:
            await answers.wait()
            return await taken_out(registry, is_due, still_wanted=still_wanted)

    stage.reconciler.remove = hang  # type: ignore[method-assign]  # a credential helper that takes its time
    running = asyncio.create_task(stage.logins.run())
    try:
        for secrets in ([GHCR], [], [GHCR], []):
            await stage.follow(*secrets)
        answers.set()
        await stage.clock.settle()
        assert not running.done()
        await stage.follow(GHCR)
        assert stage.reconciler.stored == {"ghcr.io": "right"}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class HangingPath:
    """A PATH with a directory whose file system does not answer until `answers` is set."""

    def __init__(self) -> None:
        self.answers: Final = threading.Event()
        self.searches = 0

    def find(self, name: str) -> Path | None:
        self.searches += 1
        self.answers.wait(20)
        return Path("/usr/bin", name)

    def find_docker(self) -> Path | None:
        return self.find("docker")

    def rejected_docker(self) -> RejectedProgram | None:
        return None

    flavor = Flavor.DOCKER

    async def docker_version(self, _program: Path) -> str:
        return "28.2.2"

    async def aws_version(self, _program: Path) -> str | None:
        return None

    def find_engine(self) -> None: ...

    async def engine(self) -> EngineAnswer:
        return EngineAnswer(Engine.UNKNOWN, "unix:///x")


async def test_a_path_that_hangs_is_reported_and_costs_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pass goes on, and a warning names PATH. It clears when the file system answers again."""
    monkeypatch.setattr(tools_service, "_SEARCH_S", 0.05)
    probes, clock = HangingPath(), FakeClock()
    board = Board(process(), clock.now, FakeLog())
    board.set_phase(Phase.RUNNING)
    watch = ToolWatch(probes, clock, board, FakeLog(), NoFileWatcher(), on_docker=lambda: None)
    try:
        for _ in range(5):
            await watch.look()
        assert watch.looked.is_set()
        (warning,) = board.snapshot.warnings
        assert (warning.code, warning.subject) == ("docker_cli_failed", "docker")
        assert "PATH" in warning.message
        assert probes.searches == 2, "one for docker, one for aws"
    finally:
        probes.answers.set()
    async with asyncio.timeout(PATIENCE_S):
        while board.snapshot.warnings:
            await watch.look()
    assert (board.snapshot.warnings, watch.docker_ready.is_set()) == ((), True)


async def test_podmans_files_on_a_dead_file_system_stop_no_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All readers skip them. Once they answer, the change is noticed."""
    monkeypatch.setattr(podman_auth, "_DEADLINE_S", 0.05)
    file = tmp_path / "auth.json"
    file.write_text('{"auths": {"ghcr.io": {"auth": "Ym9iOnB3"}}}')
    podman = PodmanAuthFiles({"REGISTRY_AUTH_FILE": str(file)}, tmp_path)
    answers = threading.Event()

    def read_slowly(path: Path) -> FileVersion | None:
        answers.wait(20)
        return read_version(path)

    monkeypatch.setattr(podman_auth, "read_version", read_slowly)
    try:
        assert await asyncio.gather(*(podman.read() for _ in range(50))) == [{}] * 50
        hanging = await podman.signature()
    finally:
        answers.set()
    monkeypatch.setattr(podman_auth, "_DEADLINE_S", 30)
    for _ in range(1000):
        if await podman.read():
            break
        await asyncio.sleep(0.01)
    assert list(await podman.read()) == [str(file)]
    assert await podman.signature() != hanging


def test_the_sockets_own_directory_lets_its_group_in(tmp_path: Path) -> None:
    """The socket's mode and group decide who may connect. A directory that the agent made shuts nobody out."""
    umask = os.umask(0o077)  # the agent's own umask
    try:
        with closing(bind_unix(tmp_path / "run" / "agent.sock")):
            made = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("run", "run/agent.sock")]
    finally:
        os.umask(umask)
    assert made == [0o755, 0o660]
