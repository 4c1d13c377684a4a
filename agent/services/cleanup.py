"""Logins that no secret serves any more: left alone, or taken out of Docker's configuration."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Protocol

from agent.model.plan import excluded_hosts
from agent.model.problem import Problem, ProblemError
from agent.model.registry import Registry, parse_hostname
from agent.services.login_dependencies import LoginDependencies
from agent.services.waiting import TICK_S, until_next_beat

_STUCK_S: Final = 3 * TICK_S


class KnownLogin(Protocol):
    @property
    def expires_at(self) -> datetime | None: ...


class StateFile(Protocol):
    def entries(self) -> Mapping[str, KnownLogin]: ...


class Board(Protocol):
    def report(self, owner: str, problems: tuple[Problem, ...] = ()) -> None: ...
    def remove_registry(self, hostname: str) -> None: ...


class LoginCleanup:
    """Takes out what `secrets.removed` says, and what has ended; a registry that is excluded is left alone.

    `served` are the registries that have a login just now: it changes while this looks on.
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
        """Whether the loop that looks after expiries still ticks."""
        return self._deps.clock.monotonic() - self._swept_at < _STUCK_S

    @property
    def pending(self) -> int:
        """How many are still to be taken out."""
        return len(self._pending)

    def retire_missing(self, known: Collection[str], group: asyncio.TaskGroup) -> None:
        """Secrets that disappeared while the agent was down; only the state directory knows of their logins."""
        if self._deps.settings().secrets.removed == "logout":
            for hostname in self._state_file.entries().keys() - set(known):
                self.retire(parse_hostname(hostname), group)

    def retire(self, registry: Registry, group: asyncio.TaskGroup, *, disappeared: bool = True) -> None:
        """No secret serves the registry any more, or (not `disappeared`) one that is not to be used.

        Beside the rest: a credential helper that hangs must not hold up the other registries.
        """
        group.create_task(self._retire(registry, disappeared=disappeared), name=f"part with {registry}")

    async def _retire(self, registry: Registry, *, disappeared: bool) -> None:
        if disappeared:
            self._board.remove_registry(registry.hostname)
        logout = self._deps.settings().secrets.removed == "logout" and registry.hostname not in self._excluded
        if disappeared and logout:
            await self._remove(registry, "login.removed")
        else:
            await self._deps.reconciler.forget(registry)

    async def _remove(self, registry: Registry, event: str) -> None:
        """Take a login out; what fails is tried again by the sweep, unless a secret serves the registry by then."""
        hostname, owner = registry.hostname, f"release:{registry}"
        if hostname in self._served:
            self._pending.pop(hostname, None)
            self._board.report(owner, ())
            return
        self._pending[hostname] = (registry, event)
        self._removing.add(hostname)
        try:
            released = await self._deps.reconciler.remove(registry)
        except ProblemError as error:
            problem = error.problem
            self._board.report(owner, (problem,))
            return
        finally:
            self._removing.discard(hostname)
        self._pending.pop(hostname, None)  # a secret that came and went meanwhile brought a second one
        self._board.report(owner, ())
        if released:
            self._deps.log.info(event, registry=hostname)

    async def sweep(self, group: asyncio.TaskGroup) -> None:
        """Take out logins whose secret is gone: when their token ends, or when taking them out has failed before."""
        never = asyncio.Event()
        while True:
            await self._deps.clock.wait(never, until_next_beat(self._deps.clock, TICK_S))
            self._swept_at = self._deps.clock.monotonic()
            now, left_alone = self._deps.clock.now(), {*self._served, *self._excluded}
            for hostname, entry in self._state_file.entries().items():
                if hostname not in left_alone and entry.expires_at is not None and entry.expires_at <= now:
                    self._pending.setdefault(hostname, (parse_hostname(hostname), "login.expired"))
            for hostname, (registry, event) in self._pending.items():
                if hostname not in self._removing:
                    # Beside each other, as above.
                    group.create_task(self._remove(registry, event), name=f"release:{hostname}")

    @property
    def _excluded(self) -> frozenset[str]:
        return excluded_hosts(self._deps.settings().secrets.exclude)
