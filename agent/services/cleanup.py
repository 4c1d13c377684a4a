"""Logins whose secret is gone: they stay, or are removed from Docker's configuration."""

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Final

from agent.model.plan import excluded_hosts
from agent.model.problem import Problem, ProblemError
from agent.model.registry import Registry, parse_hostname
from agent.services.login_dependencies import LoginDependencies
from agent.services.periodic import Periodic
from agent.services.ports import StateFile
from agent.services.waiting import TICK_S

_STUCK_S: Final = 3 * TICK_S


class LoginCleanup:
    """Removes logins as `secrets.removed` requires, and logins that have expired. Excluded registries are left alone.

    A removal can wait for a slow store, or for its next attempt. Why it is due is asked again when it happens.

    `served` and `skipped` hold the registries of the plan with and without a login. They are live views, not copies.
    """

    def __init__(
        self,
        dependencies: LoginDependencies,
        state_file: StateFile,
        *,
        served: Collection[str],
        skipped: Collection[str],
    ) -> None:
        self._deps: Final = dependencies
        self._state_file: Final = state_file
        self._served: Final = served
        self._skipped: Final = skipped
        self._gone: Final[set[str]] = set()
        self._failed: Final[set[str]] = set()
        self._removing: Final[set[str]] = set()
        self._lines_left: Problem | None = None
        self._removes_all = False
        self._swept_at = dependencies.clock.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the loop that removes expired logins still runs."""
        return self._deps.clock.monotonic() - self._swept_at < _STUCK_S

    def retire_missing(self, known: Collection[str], group: asyncio.TaskGroup) -> None:
        """Retire logins whose secret disappeared while the agent was down. Only the state directory lists them."""
        group.create_task(self._forget_others(), name="remove:lines")
        if self._deps.settings().secrets.removed == "logout":
            for hostname in self._state_file.entries().keys() - set(known):
                self.retire(parse_hostname(hostname), group)

    async def _forget_others(self) -> None:
        """Docker must not ask the agent for a registry without a secret: after a restart, nothing could answer.

        If this fails, `sweep` tries again. The next write of Docker's configuration meets the same problem, and reports
        it.
        """
        try:
            await self._deps.reconciler.forget_except([parse_hostname(hostname) for hostname in self._served])
            self._lines_left = None
        except ProblemError as error:
            self._lines_left = error.problem

    def retire(self, registry: Registry, group: asyncio.TaskGroup, *, disappeared: bool = True) -> None:
        """Retire a registry's login. `disappeared` is False if its secret is still there but is not to be used.

        This runs in a task of its own, so a credential helper that hangs does not delay the other registries.
        """
        if disappeared:
            self._deps.board.remove_registry(registry.hostname)
            self._gone.add(registry.hostname)
        self._start_removal(registry.hostname, group)

    async def remove_all(self) -> bool:
        """Remove each login that is still the agent's own, and all lines that name the agent. True if all are gone."""
        self._removes_all = True
        async with asyncio.TaskGroup() as group:
            for hostname in [*self._state_file.entries()]:
                self._start_removal(hostname, group)
        await self._forget_others()
        self._deps.board.report("remove:lines", [self._lines_left] if self._lines_left else [])
        return not self._failed and self._lines_left is None

    def _reason(self, hostname: str) -> str | None:
        """Why a login is to be removed now, as the event that the log then gets. None if it stays."""
        secrets, reason = self._deps.settings().secrets, None
        if hostname in self._served:
            return None
        disappeared = hostname in self._gone and hostname not in self._skipped
        if self._removes_all or (disappeared and secrets.removed == "logout"):
            reason = "login.removed"
        elif self._has_expired(hostname):
            reason = "login.expired"
        return None if reason is not None and self._is_excluded(hostname) else reason

    def _is_excluded(self, hostname: str) -> bool:
        return hostname in excluded_hosts(self._deps.settings().secrets.exclude)

    def _has_expired(self, hostname: str) -> bool:
        return self._deps.time.now().proves(self._end(hostname))

    def _lacks_proof(self, hostname: str) -> bool:
        """Whether a login that stays until its end seems to have ended, and nothing has confirmed the time lately."""
        if hostname in self._served or self._is_excluded(hostname):
            return False
        return self._deps.expiry.is_missing(parse_hostname(hostname), self._end(hostname))

    def _end(self, hostname: str) -> datetime | None:
        stored = self._state_file.entries().get(hostname)
        return stored.expires_at if stored is not None else None

    def _start_removal(self, hostname: str, group: asyncio.TaskGroup) -> None:
        if hostname not in self._removing:
            self._removing.add(hostname)
            group.create_task(self._remove(parse_hostname(hostname)), name=f"remove:{hostname}")

    async def _remove(self, registry: Registry) -> None:
        """Remove a login if there is a reason, else stop managing it. `sweep` tries again after a failure."""
        hostname, problems, was_ours = registry.hostname, list[Problem](), False
        if self._reason(hostname) is None and self._lacks_proof(hostname):
            await self._deps.expiry.find(registry, self._end(hostname))
        reason = self._reason(hostname)
        try:
            if reason is not None:
                was_ours = await self._deps.reconciler.remove(registry, lambda: self._reason(hostname) is not None)
            if not was_ours and hostname not in self._served:
                await self._deps.reconciler.forget(registry, excluded=self._is_excluded(hostname))
        except ProblemError as error:
            problems = [error.problem]
        finally:
            self._removing.discard(hostname)
        self._deps.board.report(f"remove:{hostname}", problems)
        if problems:
            self._failed.add(hostname)
        else:
            self._failed.discard(hostname)
            self._gone.discard(hostname)
        if was_ours and reason is not None:
            self._deps.log.info(reason, registry=hostname)

    async def sweep(self, group: asyncio.TaskGroup) -> None:
        """Remove logins whose secret is gone: when their token has expired, or when an earlier removal failed."""
        await Periodic("sweep", TICK_S, lambda: self._sweep(group), self._deps.clock).run()

    def _sweep(self, group: asyncio.TaskGroup) -> None:
        self._swept_at = self._deps.clock.monotonic()
        if self._lines_left is not None:
            group.create_task(self._forget_others(), name="remove:lines")
        # Without a reason any more, a failed removal only clears its warning.
        for hostname in {*self._state_file.entries(), *self._failed}:
            if hostname in self._failed or self._reason(hostname) is not None or self._lacks_proof(hostname):
                self._start_removal(hostname, group)
