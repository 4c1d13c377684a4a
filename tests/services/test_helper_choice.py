"""Whether Docker asks the agent, while the search for the helper's program does not answer."""

from dataclasses import replace

import pytest

from agent.blocking import BlockingCalls, NoThreadError
from agent.services.board import Board
from agent.services.helper_choice import HelperChoice
from agent.settings import DockerSettings, Settings
from tests.fakes import FakeClock, FakeLog, process


@pytest.mark.parametrize("fault", [TimeoutError(), NoThreadError()])
@pytest.mark.parametrize("installed", [True, False])
async def test_a_search_without_an_answer_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, fault: OSError, installed: bool
) -> None:
    """Otherwise, a directory on PATH that hangs for a moment would bring all logins to the disk."""
    settings = replace(Settings(), docker=DockerSettings(store="helper"))
    board = Board(process(), FakeClock().now, FakeLog())
    choice = HelperChoice(lambda: settings, lambda: installed, lambda: True, board)
    assert await choice.wanted() is installed

    async def call(*_: object, **__: object) -> bool:
        raise fault

    monkeypatch.setattr(BlockingCalls, "call", call)
    assert await choice.wanted() is installed
    assert [warning.code for warning in board.snapshot.warnings] == ([] if installed else ["helper_unavailable"])
