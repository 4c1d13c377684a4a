"""Faults of the process and of its machine. Most of them have no warning code, because nothing is lost."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.codes.causes import causes
from tests.codes.world import World
from tests.fakecloud.faults import Broken
from tests.rig.agent import logged_in
from tests.rig.needs import need
from tests.rig.status import get_status
from tests.rig.waiting import until

_FEW: Final = 48
"""The limit of file descriptors. An idle agent needs about twenty."""


@pytest.fixture
def command_prefix(world: World) -> Iterator[list[str]]:
    """The command prefix of the agent."""
    before: list[str] = []
    world.here.before = before
    yield before
    world.here.before = ()


def limit(world: World, descriptors: int) -> None:
    subprocess.run(["prlimit", f"--pid={world.pid}", f"--nofile={descriptors}:1024"], check=True)


def descriptors_at_rest(world: World) -> int:
    """The lowest number above all descriptors that the agent keeps open, while no child of it runs."""
    world.agent.wait_for("an answer about the engine", lambda status: status["tools"]["docker"]["engine"] != "unknown")
    process = Path(f"/proc/{world.pid}")
    kept = set(range(1024))

    same = 0

    def settled() -> bool:
        # Seen often enough: on a busy machine, a file that is being read can be open twice in a row.
        nonlocal kept, same
        children = [thread.read_text() for thread in process.glob("task/*/children")]
        before, kept = kept, kept & {int(entry.name) for entry in (process / "fd").iterdir()}
        same = same + 1 if before == kept and not any(children) else 0
        return same >= 20

    until("no descriptors but those that it keeps", settled)
    return max(kept) + 1


@pytest.mark.parametrize("when", ["while idle", "during a login"])
def test_the_agent_is_killed(world: World, when: str) -> None:
    """The next start has every login, and removes temporary files of the killed agent."""
    door = world.registry("other")
    if when != "while idle":
        door.registry.fault = Broken.SILENT
    world.start()
    world.nothing_stopped()
    if when == "while idle":
        world.agent.wait_logged_in(door.hostname)
    else:
        until("a login that hangs", lambda: any(world.agent.runtime.glob("logins-*")))
    world.agent.end(signal.SIGKILL)
    left = [*world.agent.runtime.glob("logins*")]
    door.registry.fault = None
    world.start()
    world.well_again(door.hostname)
    assert [path for path in left if path.exists()] == []


def test_the_agent_is_stopped_and_continued(world: World) -> None:
    """SIGSTOP for longer than requests wait. Afterwards, a new secret is used as usual."""
    world.start()
    world.nothing_stopped()
    world.agent.watch_no_longer()
    os.kill(world.pid, signal.SIGSTOP)
    with pytest.raises(OSError, match="timed out"):
        get_status(world.agent.socket, 1.0)
    door = world.registry("given-meanwhile")
    os.kill(world.pid, signal.SIGCONT)
    world.well_again(door.hostname)


def test_a_client_opens_all_connections(world: World, command_prefix: list[str]) -> None:
    """More clients than file descriptors. Idle connections are closed for new requests, and programs can be started."""
    need("prlimit")
    command_prefix.extend([str(shutil.which("prlimit")), f"--nofile={_FEW}"])
    world.start()
    world.nothing_stopped()
    with ExitStack() as connections:
        for _ in range(2 * _FEW):
            greedy = connections.enter_context(socket.socket(socket.AF_UNIX))
            greedy.settimeout(1)
            greedy.connect(str(world.agent.socket))
        door = world.registry("given-meanwhile")
        # A request with `wait` would count as an idle connection.
        until("the login", lambda: logged_in(world.agent.status(), door.hostname))
    world.well_again(door.hostname)


def test_no_file_descriptors_left(world: World) -> None:
    """No program can be started. This is reported for the registry that needs one, which logs in later."""
    need("prlimit")
    world.start()
    world.nothing_stopped()
    limit(world, descriptors_at_rest(world) + 4)  # enough for one request at a time
    door = world.registry("given-meanwhile")
    world.raised("docker_cli_failed", door.hostname)
    limit(world, 1024)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("docker_cli_failed", door.hostname)


@pytest.mark.parametrize("where", ["/dev/full", "a pipe that nobody reads"])
def test_no_room_for_the_log(world: World, command_prefix: list[str], tmp_path: Path, where: str) -> None:
    """The disk is full, or the reader stalls. Log lines are lost and counted, and nothing else is affected."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    if where.startswith("a pipe"):
        with suppress(BlockingIOError):
            while True:
                os.write(descriptor, bytes(65536))
        where = str(pipe)
    command_prefix.extend(["/bin/sh", "-c", f'exec "$@" >{where} 2>&1', "sh"])
    try:
        world.start()
        door = world.registry("other")
        world.well_again(door.hostname)
        assert world.agent.end() == 0
    finally:
        os.close(descriptor)


def test_the_runtime_directory_is_removed(world: World) -> None:
    """Another program cleans up in /run. The socket is created again, and logins continue."""
    world.start()
    world.nothing_stopped()
    world.agent.watch_no_longer()
    shutil.rmtree(world.agent.runtime)
    until("the socket's return", world.agent.socket.exists)
    door = world.registry("given-meanwhile")
    world.well_again(door.hostname)


def test_the_state_directory_is_removed(world: World) -> None:
    """The agent has its state in memory. It continues, and writes the file again."""
    world.start()
    world.nothing_stopped()
    shutil.rmtree(world.agent.state)
    door = world.registry("given-meanwhile")
    world.well_again(door.hostname)
    until("the state's return", (world.agent.state / "state.json").exists)


@causes("state_unusable")
def test_the_state_directory_is_a_file(world: World) -> None:
    """The logins work as usual. Once the directory can be created, the state is saved."""
    world.start()
    world.nothing_stopped()
    shutil.rmtree(world.agent.state)
    world.agent.state.write_text("a file")
    path = world.agent.state / "state.json"
    door = world.registry("given-meanwhile")
    world.well_again(door.hostname)
    world.raised("state_unusable", str(path), severity="notice")
    world.agent.state.unlink()
    world.cleared("state_unusable", str(path))
    assert door.hostname in path.read_text()


@pytest.mark.parametrize("text", ["{", '{"version": 1}'])
def test_the_state_is_damaged(world: World, text: str) -> None:
    """A warning reports it until the next start. The agent then knows its logins again, and the old file is kept."""
    path = world.agent.state / "state.json"
    path.write_text(text)
    world.start()
    world.nothing_stopped()
    world.raised("state_unusable", str(path), says="is damaged", severity="warning")
    assert world.agent.end() == 0
    assert path.with_name("state.json.damaged").read_text() == text
    world.start()
    world.nothing_stopped()
    assert "state_unusable" not in {warning["code"] for warning in world.agent.status()["warnings"]}
