"""The demo from its first line to its last, with an agent that only plays one."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from agent.demo.story import Pace, Story
from agent.demo.workspace import Workspace
from agent.edge.programs import find_program

PACE = Pace(limit_s=30, outage_s=0.1)


class House:
    """Who listens to the story, and which agent plays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.lines: list[str] = []
        self._monkeypatch = monkeypatch
        self._real = Workspace.command
        monkeypatch.setenv("TMPDIR", str(directory))
        monkeypatch.setattr("tempfile.tempdir", None)
        self.directory = directory
        self.agent()

    def agent(self, *arguments: str) -> None:
        def command(stage: Workspace) -> list[str]:
            return [sys.executable, "-m", "tests.demo.stub_agent", str(stage.root / "config.toml"), *arguments]

        self._monkeypatch.setattr(Workspace, "command", property(command))

    def restore_agent(self) -> None:
        self._monkeypatch.setattr(Workspace, "command", self._real)

    @property
    def text(self) -> str:
        """All lines as one, without the breaks that 80 columns ask for."""
        return re.sub(r"\s+", " ", "\n".join(self.lines))


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> House:
    return House(monkeypatch, tmp_path)


async def test_the_whole_story_is_told_and_nothing_is_left(house: House) -> None:
    """Set-up, logins, both faults, the recovery, the renewal, the end; no line too long but for a path."""
    assert await Story(PACE, house.lines.append).play()
    for words in (
        "five registries on loopback",
        "/v1/status",
        "logged in localhost:",
        "(on purpose)",
        "-> ",
        "is up again",
        "registry_unreachable is gone",
        "before its token would have ended",
        "it ended with exit status 0",
        "the renewal of the ECR login",
    ):
        assert words in house.text
    assert "NOT seen" not in house.text
    assert list(house.directory.iterdir()) == []


@pytest.mark.skipif(find_program("docker", os.environ.get("PATH")) is None, reason="there is no docker CLI")
async def test_the_real_agent_plays_it_too(house: House) -> None:
    """With the real docker CLI: what `registry-agent demo` shows, with tokens that live 12 s instead of 60."""
    house.restore_agent()
    complete = await Story(Pace(limit_s=50, token_life_s=12, outage_s=1), house.lines.append).play()
    assert complete, house.text
    assert "the wrong password was sent once" in house.text


async def test_what_was_not_seen_is_said_and_the_log_is_kept(house: House) -> None:
    """With the place of the log; the limit holds."""
    house.agent("fails")
    assert not await Story(Pace(limit_s=4, outage_s=0.1), house.lines.append).play()
    assert "NOT seen: the renewal of the ECR login" in house.text
    assert "the agent's log is" in house.text
    assert list(house.directory.glob("agent-demo-*/agent.log"))


async def test_a_time_that_is_too_short_is_no_failure(house: House) -> None:
    """Who asked for so many seconds had them; what would have come later is said."""
    house.agent("fails")
    assert await Story(Pace(limit_s=4, outage_s=0.1, stay=True), house.lines.append).play()
    assert "not seen in this time: the renewal of the ECR login" in house.text
    assert list(house.directory.iterdir()) == []


async def test_an_agent_that_dies_ends_the_story_at_once_with_its_last_words(house: House) -> None:
    """Not after the whole limit."""
    house.agent("dies")
    assert not await Story(PACE, house.lines.append).play()
    assert "it ended with exit status 1" in house.text
    assert "the stub died, as it was told to" in house.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_agent_and_story_and_leaves_nothing(house: House, number: signal.Signals) -> None:
    """Also with `--for`, which goes on after all has been seen."""

    def say(lines: str) -> None:
        house.lines.append(lines)
        if "that was all of it" in lines:
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)

    assert await Story(Pace(limit_s=30, outage_s=0.1, stay=True), say).play()
    assert "it ended with exit status 0" in house.text
    assert list(house.directory.iterdir()) == []
