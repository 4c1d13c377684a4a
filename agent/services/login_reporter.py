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


class LoginReporter:
    """What one login shows. `on_first_outcome` hears once that it was attempted or skipped.

    `attempt_id` is that of the attempt to come, where somebody waits for it.
    """

    def __init__(
        self,
        login: Login,
        now: datetime,
        board: LoginBoard,
        on_first_attempt: Callable[[], None],
        attempt_id: str | None = None,
    ) -> None:
        self._board: Final = board
        self._on_first_attempt: Final = on_first_attempt
        self.first_attempt_done = False
        self._status = RegistryStatus(
            hostname=login.registry.hostname,
            secret=login.secret.name,
            scope=login.secret.scope.value,
            kind=login.kind.value,
            changed_at=now,
            attempt_id=attempt_id,
        )
        board.put_registry(self._status)

    @property
    def status(self) -> RegistryStatus:
        return self._status

    @property
    def log_fields(self) -> dict[str, str | None]:
        """The fields that every log line of this login bears."""
        return {"registry": self._status.hostname, "secret": self._status.secret, "attempt_id": self._status.attempt_id}

    def update(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)
        self._board.put_registry(self._status)

    def report(self, *problems: Problem, state: State) -> None:
        """Put these in the place of all that was reported before."""
        self._board.report(f"login:{self._status.hostname}", problems)
        self.update(state=state)

    def report_first_attempt(self) -> None:
        if not self.first_attempt_done:
            self.first_attempt_done = True
            self._on_first_attempt()
