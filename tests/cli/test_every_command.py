"""What every command must handle: closed descriptors, a closed pipe, a full disk, a malformed `--set`."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.__main__ import COMMANDS
from agent.edge.agent_client import AgentClient, AgentNotRunning
from agent.model.problems.registry import RegistryDns
from agent.model.status import Phase, RegistryStatus, State, Tool, Tools
from tests.cli.commands import command, start
from tests.fakes import EPOCH
from tests.rig.needs import need_root
from tests.rig.waiting import until
from tests.web.serving import Serving, serving

ROW = RegistryStatus("ghcr.io", "team", "project", "basic", EPOCH, State.LOGGED_IN)


@contextmanager
def reader_gone() -> Iterator[int]:
    """A pipe without a reader, as with `| true` once `true` has ended."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def disk_full() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


def closed(descriptors: str, *args: str, home: Path) -> subprocess.Popen[bytes]:
    """Start `registry-agent ARGS` without these standard descriptors, as a supervisor may do."""
    words = [sys.executable, "-m", "agent", *args]
    environ = {"HOME": str(home), "RUNTIME_DIRECTORY": f"{home}/run", "STATE_DIRECTORY": f"{home}/state"}
    environ["REGISTRY_AGENT_STATUS_LISTEN"] = ""
    environ["REGISTRY_AGENT_SECRETS_DIRECTORIES"] = "[]"
    shut = " ".join(f"{number}>&-" for number in descriptors)
    root = Path(__file__).parents[2]
    return subprocess.Popen(["sh", "-c", f'exec "$@" {shut}', "sh", *words], env=environ, cwd=root)


@pytest.mark.parametrize("descriptors", ["1", "2", "012"])
def test_the_agent_runs_without_standard_descriptors(tmp_path: Path, descriptors: str) -> None:
    """And so do the commands. No file or socket of the agent gets their numbers, where it would receive the log."""
    need_root("to see the descriptors of a process that nobody may debug")
    agent = AgentClient([tmp_path / "run" / "agent.sock"])

    def answers() -> bool:
        assert running.poll() is None, f"the agent ended with {running.returncode}"
        try:
            return bool(agent.status(5)["phase"] == "running")
        except AgentNotRunning:
            return False

    with closed(descriptors, "run", home=tmp_path) as running:
        try:
            until("an answer", answers)
            for number in descriptors:
                assert Path(f"/proc/{running.pid}/fd/{number}").readlink() == Path(os.devnull)
            for words in (("status", "--strict"), ("logs",), ("renew",)):
                with closed(descriptors, *words, home=tmp_path) as asking:
                    assert asking.wait(30) == 0, words
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 0
        finally:
            running.kill()


@pytest.mark.parametrize("descriptors", ["1", "2", "012"])
def test_one_pass_without_standard_descriptors(tmp_path: Path, descriptors: str) -> None:
    """The exit code is the same as with standard descriptors."""
    with closed(descriptors, "run", "--once", home=tmp_path) as running:
        assert running.wait(30) == 0


class Memory:
    def recent(self, _lines: int) -> list[str]:
        return ['{"time": "2026-01-01T00:00:00Z", "level": "info", "event": "agent.ready"}']


def no_registry(hostname: str | None) -> list[str]:
    if hostname is not None:
        raise LookupError(hostname)
    return []


@asynccontextmanager
async def idle() -> AsyncIterator[Serving]:
    """An agent with one event, one warning and no registry."""
    async with serving() as rig:
        rig.board.report("x", [RegistryDns("ghcr.io", "it does not resolve")])
        rig.board.set_phase(Phase.RUNNING)
        rig.lines = Memory()
        rig.renewals.renew = no_registry  # type: ignore[method-assign]  # the server holds this object
        yield rig


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("status",), 0),
        (("status", "--strict"), 2),
        (("status", "--strict", "--json"), 2),
        (("status", "--watch"), 0),
        (("logs",), 0),
        (("logs", "-f"), 0),
        (("renew",), 0),
        (("renew", "quay.io"), 2),
    ],
)
async def test_a_closed_pipe_does_not_change_the_exit_code(args: tuple[str, ...], code: int) -> None:
    """There is no error message about it, and the code is the same if standard error is closed, too."""
    async with idle() as rig:
        with reader_gone() as pipe:
            answer = await command(*args, socket=rig.socket, out=pipe)
            assert (answer.code, "Error" in answer.err) == (code, False)
            assert (await command(*args, socket=rig.socket, out=pipe, err=pipe)).code == code


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--set", "log.level=loud"), 78)])
async def test_check_config_with_a_closed_pipe(words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    """The exit code still reports errors in the settings."""
    empty = tmp_path / "config.toml"
    empty.touch()
    with reader_gone() as pipe:
        answer = await command("check-config", "--config", str(empty), *words, out=pipe)
    assert (answer.code, answer.err) == (code, "")


async def test_renew_waits_for_the_outcome_after_the_pipe_is_closed() -> None:
    """The second registry fails after the first line was lost, and the exit code reports the failure."""
    async with serving() as rig:
        rows = [replace(ROW, hostname=name, attempt_id=f"id-{name}") for name in ("a.example", "b.example")]
        asked = asyncio.Event()

        def renew(_hostname: str | None) -> list[str]:
            asked.set()
            return [str(row.attempt_id) for row in rows]

        rig.renewals.renew = renew  # type: ignore[assignment]  # the server holds this object
        rig.board.set_tools(Tools(Tool("/usr/bin/docker", "28.2.2")))
        rig.board.put_registry(rows[0])
        rig.board.put_registry(replace(rows[1], attempting=True))
        with reader_gone() as pipe:
            renewing = await start("renew", "--socket", str(rig.socket), out=pipe)
            await asked.wait()
            rig.board.put_registry(replace(rows[1], last_error="it said no"))
            assert renewing.stderr is not None
            assert (await renewing.stderr.read(), await renewing.wait()) == (b"", 2)


async def test_the_demo_shuts_down_when_the_pipe_is_closed(tmp_path: Path) -> None:
    """It ends at once with 0, and removes its files."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir(mode=0o755)
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    files = tmp_path / "files"
    files.mkdir()
    with reader_gone() as pipe:
        answer = await command(
            "demo", "--for", "40", out=pipe, PATH=f"{docker.parent}:{os.environ['PATH']}", TMPDIR=str(files)
        )
    assert (answer.code, answer.err, [*files.iterdir()]) == (0, "", [])


@pytest.mark.parametrize(
    "args",
    [
        ("status",),
        ("status", "--watch", "--json"),
        ("logs",),
        ("renew",),
        ("check-config",),
        ("doctor",),
        ("demo", "--for", "40"),
    ],
    ids=" ".join,
)
async def test_a_full_disk_is_reported_in_one_line(args: tuple[str, ...], tmp_path: Path) -> None:
    """The exit code is 1, whatever the command's outcome was."""
    async with idle() as rig:
        with disk_full() as full:
            answer = await command(*args, out=full, RUNTIME_DIRECTORY=str(rig.directory), TMPDIR=str(tmp_path))
    message = f"registry-agent {args[0]}: the output cannot be written: no space left on device\n"
    assert (answer.code, answer.err) == (1, message)


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_malformed_set_is_wrong_usage(name: str) -> None:
    """For every command, also for those that use no settings: a typing error must not go unnoticed."""
    for before, after in ((("--set", "foo"), ()), ((), ("--set", "log.level"))):
        answer = await command(*before, name, *after)
        assert (answer.code, answer.out) == (64, "")
        assert answer.err == f"registry-agent {name}: --set wants SECTION.KEY=VALUE, such as --set log.level=debug\n"
