"""What the other value of `docker.store` has left: lines that name the agent, or logins in the file."""

import asyncio
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Final

from agent.model.desired_login import CONFIG_FILE, MEMORY, DesiredLogin
from agent.model.problem import ProblemError
from agent.services.credential_store import CredentialStore
from agent.services.managed_login import FAILED_CHECK_S, ManagedLogin
from agent.services.ports import Board, Clock, ConfirmedTime


class LeftoverLines:
    """Removes them, except those of managed logins: a login that is stored elsewhere replaces its line itself.

    A login whose secret is gone is moved here: the reconciler does not manage it any more.

    Until each registry was attempted, the lines stay. Docker then waits for the agent, which answers from memory.

    `managed` and `locks` are the reconciler's, by host name.
    """

    def __init__(
        self,
        store: CredentialStore,
        managed: Mapping[str, ManagedLogin],
        locks: Mapping[str, asyncio.Lock],
        *,
        board: Board,
        clock: Clock,
        time: ConfirmedTime,
    ) -> None:
        self._store: Final = store
        self._managed: Final = managed
        self._locks: Final = locks
        self._board: Final = board
        self._clock: Final = clock
        self._time: Final = time
        self._done_for: Hashable = None
        self._next_try = 0.0
        self._running = False

    @property
    def pending(self) -> bool:
        """Whether lines may be left, although no file changes."""
        return self._running or self._done_for is None

    def start(self, files: Hashable, group: asyncio.TaskGroup) -> None:
        """Look for them, unless that was done since `files` changed. A helper that hangs delays nothing else."""
        due = files != self._done_for and self._clock.monotonic() >= self._next_try
        if due and self._board.first_attempts_done.is_set() and not self._running:
            self._running = True
            group.create_task(self._run(files), name="lines")

    async def _run(self, files: Hashable) -> None:
        self._done_for, self._next_try = None, self._clock.monotonic() + FAILED_CHECK_S
        try:
            with suppress(ProblemError):  # the next write of Docker's configuration meets it too, and reports it
                if await self._release():
                    self._done_for, self._next_try = files, 0.0
        finally:
            self._running = False

    async def _release(self) -> bool:
        """Return whether it need not be tried again before a file changes."""
        memory = self._store.memory
        if await self._store.choice.wanted():
            # A list, because one failure must not stop the others.
            return all([await self._move(login, CONFIG_FILE) for login in await memory.on_disk()])
        kept = [login.registry for login in await memory.asked_for() if not await self._move(login, MEMORY)]
        kept += [login.desired.registry for login in self._managed.values() if not self._is_over(login.desired)]
        await memory.release_except(kept)
        return True

    async def _move(self, login: DesiredLogin, former: str) -> bool:
        """Move a login whose secret is gone to the store that Docker is to use. False if it stays in the `former` one.

        Also true if there is nothing to move.
        """
        with suppress(ProblemError):
            async with self._locks[login.registry.hostname]:
                # While this waited, it may have been removed, or its secret may be back.
                is_left = login.registry.hostname not in self._managed and self._store.memory.serves(login)
                if not is_left or self._is_over(login):
                    return True
                return (await self._store.store(login)).stored_in != former
        return False

    def _is_over(self, login: DesiredLogin) -> bool:
        return self._time.now().is_over(login.expires_at)
