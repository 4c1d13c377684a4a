"""Logins whose secret is gone: they stay, or are removed from Docker's configuration."""

import asyncio
from collections.abc import Collection
from typing import Final

from agent.model.plan import excluded_hosts
from agent.model.problem import ProblemError
from agent.model.registry import Registry, parse_hostname
from agent.services.login_dependencies import LoginDependencies
from agent.services.periodic import Periodic
from agent.services.ports import Board, StateFile
from agent.services.waiting import TICK_S

_STUCK_S: Final = 3 * TICK_S


class LoginCleanup:
    """Removes logins as `secrets.removed` says, and logins that have expired. Excluded registries are left alone.

    `served` holds the registries that have a login at the moment. It is a live view, not a copy.
    """

    def __init__(
        self, dependencies: LoginDependencies, board: Board, state_file: StateFile, served: Collection[str]
    ) -> None:
        self._deps: Final = dependencies
        self._board: Final = board
        self._state_file: Final = state_file
        self._served: Final = served
        self._pending: Final[dict[str, tuple[Registry, str]]] = {}
        self._removing: Final[set[str]] = set()
        self._swept_at = dependencies.clock.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the loop that removes expired logins still runs."""
        return self._deps.clock.monotonic() - self._swept_at < _STUCK_S

    @property
    def pending(self) -> int:
        """How many logins are still to be removed."""
        return len(self._pending)

    def retire_missing(self, known: Collection[str], group: asyncio.TaskGroup) -> None:
        """Retire logins whose secret disappeared while the agent was down. Only the state directory lists them."""
        if self._deps.settings().secrets.removed == "logout":
            for hostname in self._state_file.entries().keys() - set(known):
                self.retire(parse_hostname(hostname), group)

    def retire(self, registry: Registry, group: asyncio.TaskGroup, *, disappeared: bool = True) -> None:
        """Retire a registry's login. `disappeared` is False if its secret is still there but is not to be used.

        This runs in a task of its own, so a credential helper that hangs does not delay the other registries.
        """
        group.create_task(self._retire(registry, disappeared=disappeared), name=f"retire:{registry}")

    async def _retire(self, registry: Registry, *, disappeared: bool) -> None:
        if disappeared:
            self._board.remove_registry(registry.hostname)
        logout = self._deps.settings().secrets.removed == "logout" and registry.hostname not in self._excluded
        if disappeared and logout:
            await self._remove(registry, "login.removed")
        else:
            await self._deps.reconciler.forget(registry)

    async def _remove(self, registry: Registry, event: str) -> None:
        """Remove a login. `sweep` tries again after a failure, unless a new secret serves the registry by then."""
        hostname, owner = registry.hostname, f"remove:{registry}"
        # A new secret serves the registry, and its login replaces the old one.
        if hostname in self._served:
            self._pending.pop(hostname, None)
            self._board.report(owner, ())
            return
        self._pending[hostname] = (registry, event)
        self._removing.add(hostname)
        try:
            was_ours = await self._deps.reconciler.remove(registry)
        except ProblemError as error:
            self._board.report(owner, (error.problem,))
            return
        finally:
            self._removing.discard(hostname)
        self._pending.pop(hostname, None)  # a secret that came and went meanwhile may have added it again
        self._board.report(owner, ())
        if was_ours:
            self._deps.log.info(event, registry=hostname)

    async def sweep(self, group: asyncio.TaskGroup) -> None:
        """Remove logins whose secret is gone: when their token has expired, or when an earlier removal failed."""
        await Periodic("sweep", TICK_S, lambda: self._sweep(group), self._deps.clock).run()

    def _sweep(self, group: asyncio.TaskGroup) -> None:
        self._swept_at = self._deps.clock.monotonic()
        now, left_alone = self._deps.clock.now(), {*self._served, *self._excluded}
        for hostname, entry in self._state_file.entries().items():
            if hostname not in left_alone and entry.expires_at is not None and entry.expires_at <= now:
                self._pending.setdefault(hostname, (parse_hostname(hostname), "login.expired"))
        for hostname, (registry, event) in self._pending.items():
            if hostname not in self._removing:
                # Concurrently, for the reason given in `retire`.
                group.create_task(self._remove(registry, event), name=f"remove:{hostname}")

    @property
    def _excluded(self) -> frozenset[str]:
        return excluded_hosts(self._deps.settings().secrets.exclude)
