"""Saves the state again after a failure, and reports what is wrong with it."""

from typing import TYPE_CHECKING, Final

from agent.services.ports import Reporter, StateFile

if TYPE_CHECKING:
    from agent.model.problem import Problem


class StateWatch:
    """Call `check` at regular intervals. It reports only changes."""

    def __init__(self, state_file: StateFile, board: Reporter) -> None:
        self._state_file: Final = state_file
        self._board: Final = board
        self._reported: tuple[Problem, ...] = ()

    def check(self) -> None:
        self._state_file.save_again()
        problems = self._state_file.problems()
        if problems != self._reported:
            self._reported = problems
            self._board.report("state", problems)
