"""Saves the state again after a failure, and reports what is wrong with it."""

from typing import Final

from agent.services.ports import Reporter, StateFile


class StateWatch:
    """Call `check` at regular intervals."""

    def __init__(self, state_file: StateFile, board: Reporter) -> None:
        self._state_file: Final = state_file
        self._board: Final = board

    def check(self) -> None:
        self._state_file.save_again()
        self._board.report("state", self._state_file.problems(), repeat=False)
