"""A registry's row on the board, and the problems reported beside it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol

from agent.model.plan import Login
from agent.model.problem import Problem
from agent.model.status import RegistryStatus, State


class LoginBoard(Protocol):
    def report(self, owner: str, problems: tuple[Problem, ...] = ()) -> None: ...
    def put_registry(self, registry: RegistryStatus) -> None: ...


class LoginRow:
    """What one login shows. `on_first_outcome` hears once that it was attempted or skipped.

    `attempt_id` is that of the attempt to come, where somebody waits for it.
    """

    def __init__(
        self,
        login: Login,
        now: datetime,
        board: LoginBoard,
        on_first_outcome: Callable[[], None],
        attempt_id: str | None = None,
    ) -> None:
        self._board: Final = board
        self._on_first_outcome: Final = on_first_outcome
        self.over = False
        self._row = RegistryStatus(
            hostname=login.registry.hostname,
            secret=login.secret.name,
            scope=login.secret.scope.value,
            kind=login.kind.value,
            changed_at=now,
            attempt_id=attempt_id,
        )
        board.put_registry(self._row)

    @property
    def now(self) -> RegistryStatus:
        return self._row

    @property
    def names(self) -> dict[str, str | None]:
        """The fields that every log line of this login bears."""
        return {"registry": self._row.hostname, "secret": self._row.secret, "attempt_id": self._row.attempt_id}

    def show(self, **changes: Any) -> None:
        self._row = replace(self._row, **changes)
        self._board.put_registry(self._row)

    def report(self, *problems: Problem, state: State) -> None:
        """Put these in the place of all that was reported before."""
        self._board.report(f"login:{self._row.hostname}", problems)
        self.show(state=state)

    def first_outcome(self) -> None:
        if not self.over:
            self.over = True
            self._on_first_outcome()
