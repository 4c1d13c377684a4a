"""The demo from its first line to its last, with a stub agent."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from agent.demo.story import Pace, play
from agent.demo.workspace import Workspace
from agent.edge.programs import find_program

PACE = Pace(limit_s=30, outage_s=0.1)


class DemoRun:
    """Collects the demo's output, and chooses the agent that it runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.lines: list[str] = []
        self._monkeypatch = monkeypatch
        self._real = Workspace.command
        monkeypatch.setenv("TMPDIR", str(directory))
        monkeypatch.setattr("tempfile.tempdir", None)
        self.directory = directory
        self.use_stub()

    def use_stub(self, *arguments: str) -> None:
        def command(workspace: Workspace) -> list[str]:
            return [sys.executable, "-m", "tests.demo.stub_agent", str(workspace.root / "config.toml"), *arguments]

        self._monkeypatch.setattr(Workspace, "command", property(command))

    def use_real_agent(self) -> None:
        self._monkeypatch.setattr(Workspace, "command", self._real)

    @property
    def text(self) -> str:
        """The output as one line, without line breaks."""
        return re.sub(r"\s+", " ", "\n".join(self.lines))


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DemoRun:
    return DemoRun(monkeypatch, tmp_path)


async def test_shows_everything_and_leaves_nothing(demo: DemoRun) -> None:
    """Set-up, logins, both faults, the recovery, the renewal and the end."""
    assert await play(PACE, demo.lines.append)
    for text in (
        "five registries on loopback",
        "/v1/status",
        "logged in localhost:",
        "(on purpose)",
        "-> ",
        "is up again",
        "registry_unreachable is cleared",
        "before its old token expires",
        "exited with status 0",
        "the renewal of the ECR login",
    ):
        assert text in demo.text
    assert "NOT shown" not in demo.text
    assert list(demo.directory.iterdir()) == []


@pytest.mark.skipif(find_program("docker", os.environ.get("PATH")) is None, reason="there is no docker CLI")
async def test_shows_everything_with_the_real_agent(demo: DemoRun) -> None:
    """With the real docker CLI, as `registry-agent demo` does, but with tokens that live 12 s instead of 60."""
    demo.use_real_agent()
    complete = await play(Pace(limit_s=50, token_life_s=12, outage_s=1), demo.lines.append)
    assert complete, demo.text
    assert "the wrong password was sent once" in demo.text


async def test_reports_what_was_not_shown_and_keeps_the_log(demo: DemoRun) -> None:
    """The demo ends at its time limit, and prints the path of the log."""
    demo.use_stub("fails")
    assert not await play(Pace(limit_s=4, outage_s=0.1), demo.lines.append)
    assert "NOT shown: the renewal of the ECR login" in demo.text
    assert "the agent's log is" in demo.text
    assert list(demo.directory.glob("agent-demo-*/agent.log"))


async def test_a_short_time_given_by_the_user_is_not_a_failure(demo: DemoRun) -> None:
    """With `--for`, the demo reports what it had no time to show, and succeeds."""
    demo.use_stub("fails")
    assert await play(Pace(limit_s=4, outage_s=0.1, stay=True), demo.lines.append)
    assert "not shown in this time: the renewal of the ECR login" in demo.text
    assert list(demo.directory.iterdir()) == []


async def test_ends_at_once_if_the_agent_dies(demo: DemoRun) -> None:
    """It does not wait for the time limit, and prints the last lines of the agent's log."""
    demo.use_stub("dies")
    assert not await play(PACE, demo.lines.append)
    assert "exited with status 1" in demo.text
    assert "the stub died, as requested" in demo.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_demo_and_its_agent(demo: DemoRun, number: signal.Signals) -> None:
    """No files are left, also with `--for`, which goes on after everything was shown."""

    def write(lines: str) -> None:
        demo.lines.append(lines)
        if "everything was shown" in lines:
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)

    assert await play(Pace(limit_s=30, outage_s=0.1, stay=True), write)
    assert "exited with status 0" in demo.text
    assert list(demo.directory.iterdir()) == []
