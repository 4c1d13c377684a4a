"""Decides whether Docker asks the agent for logins, or finds them in its own store."""

from collections.abc import Callable, Hashable
from typing import Final

from agent.blocking import BlockingCalls, NoThreadError
from agent.model.helper_names import OWN_PROGRAM
from agent.model.problem import Problem
from agent.model.problems.stored_login import HelperUnavailable, no_helper
from agent.model.status import Flavor
from agent.services.ports import Board
from agent.settings import Settings

_OWNER: Final = "store"
_SEARCHES: Final = BlockingCalls("helper", limit=2)
_SEARCH_S: Final = 5.0


class HelperChoice:
    """Follows `docker.store`, as long as programs can ask the agent. Otherwise, logins go into Docker's own store.

    `is_installed` returns whether docker finds the helper's program, and may block. `is_listening` returns whether the
    agent's socket is open: `run --once` opens none.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        is_installed: Callable[[], bool],
        is_listening: Callable[[], bool],
        board: Board,
    ) -> None:
        self._settings: Final = settings
        self._is_installed: Final = is_installed
        self._is_listening: Final = is_listening
        self._board: Final = board
        self._found = False

    async def wanted(self) -> bool:
        """Whether Docker is to ask the agent now. If `docker.store` cannot be followed, report why."""
        if self._settings().docker.store != "helper":
            self._report(None)
            return False
        problem = await self._obstacle()
        self._report(problem)
        return problem is None

    async def possible(self) -> bool:
        """Whether Docker could ask the agent now, whatever `docker.store` is."""
        return await self._obstacle() is None

    async def _obstacle(self) -> Problem | None:
        if not self._is_listening():
            instead = "logins are kept in Docker's own store"
            message = f"docker.store is helper, but the agent's socket is not open; {instead}"
            hint = "fix status_listen_failed, if it is reported; `run --once` never opens a socket"
            return HelperUnavailable(OWN_PROGRAM, message, hint=hint)
        from_snap = self._board.snapshot.tools.flavor is Flavor.SNAP
        return no_helper(from_snap=from_snap) if from_snap or not await self._finds_program() else None

    def signature_now(self) -> Hashable:
        """Return a value that differs whenever the choice may. Blocks."""
        wanted = self._settings().docker.store == "helper"
        return wanted and (self._is_listening(), self._is_installed())

    async def _finds_program(self) -> bool:
        try:
            self._found = await _SEARCHES.call(OWN_PROGRAM, self._is_installed, timeout=_SEARCH_S)
        except (TimeoutError, NoThreadError):
            pass  # a directory on PATH hangs: the last answer counts, so that no login is written to the disk meanwhile
        except OSError:
            self._found = False
        return self._found

    def _report(self, problem: Problem | None) -> None:
        self._board.report(_OWNER, [problem] if problem is not None else [], repeat=False)
