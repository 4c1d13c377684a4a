"""All logins: one task per registry. The plan decides which tasks start, end and are replaced."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from agent.model.credential import TokenSource
from agent.model.plan import Login, Plan, Skipped
from agent.model.registry import parse_hostname
from agent.model.status import Phase, RegistryStatus, State
from agent.services.cleanup import LoginCleanup
from agent.services.endless_logins import EndlessLogins
from agent.services.login import RegistryLogin
from agent.services.login_dependencies import LoginDependencies
from agent.services.ports import StateFile


class Logins:
    """Follows the plan. The phase becomes `running` once every login of the first plan was attempted or skipped."""

    name: Final = "logins"

    def __init__(
        self, dependencies: LoginDependencies, *, state_file: StateFile, want_aws: Callable[[bool], None]
    ) -> None:
        self._deps: Final = dependencies
        self._state_file: Final = state_file
        self._want_aws: Final = want_aws
        self._endless: Final = EndlessLogins(state_file)
        self._logins: Final[dict[str, RegistryLogin]] = {}
        self._tasks: Final[dict[str, asyncio.Task[None]]] = {}
        self._skipped: Final[dict[str, RegistryStatus]] = {}
        self._untried: Final[set[str]] = set()
        self._plan: Plan | None = None
        self._settings = dependencies.settings()
        self._planned: Final = asyncio.Event()
        self._running = False
        self._complete = False
        self._missing_retired = False
        self._noted = False
        self._cleanup: Final = LoginCleanup(
            dependencies, state_file, served=self._logins.keys(), skipped=self._skipped.keys()
        )

    @property
    def alive(self) -> bool:
        """Whether the loop that removes expired logins still runs."""
        return self._cleanup.alive

    def follow(self, plan: Plan) -> None:
        """Replace the plan. `run` applies it next."""
        self._plan = plan
        self._planned.set()

    def renew(self, hostname: str | None) -> list[str]:
        """Request an attempt now, for one registry or for all. Returns the IDs of the attempts.

        Raises LookupError if no secret is known for this registry.
        """
        if hostname is not None and hostname not in self._logins and hostname not in self._skipped:
            raise LookupError(hostname)
        wanted = [hostname] if hostname is not None else [*self._logins, *self._skipped]
        return [self._request(name) for name in wanted]

    def refresh(self, hostname: str) -> None:
        """Renew one registry's login now, if it works. A program needs one that works longer."""
        if hostname in self._logins:
            self._logins[hostname].refresh()

    def wake(self, hostname: str | None = None) -> None:
        """Have every login, or only that of `hostname`, check its clock and its tools again."""
        for name in [*self._logins] if hostname is None else [hostname]:
            if name in self._logins:
                self._logins[name].wake()

    def source_changed(self, source: TokenSource) -> None:
        """Log in again to the registries whose password the source gives, if it may give another one."""
        if not self._deps.credentials.source_changed(source):
            return
        for login in self._logins.values():
            if login.login.source == source:
                login.source_changed()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cleanup.sweep(group), name="logins:sweep")
            while True:
                await self._planned.wait()
                self._planned.clear()
                assert self._plan is not None  # noqa: S101 - it is set before the event
                with self._deps.board.batch():
                    self._apply(self._plan, group)
                    self._check_phase()

    async def once(self, plan: Plan) -> bool:
        """Attempt each login of the plan once. Returns whether every enabled secret is logged in."""
        with self._deps.board.batch():
            self._show(plan)
            logins = [self._new(login) for login in plan.logins]
        async with asyncio.TaskGroup() as group:
            noting = group.create_task(self._note_preexisting(plan), name="logins:preexisting")
            async with asyncio.TaskGroup() as attempts:  # unlike `gather`, it waits for all when cancelled
                for login in logins:
                    attempts.create_task(login.run(once=True), name=f"login:{login.login.registry}")
            noting.cancel()
        self._deps.board.set_phase(Phase.RUNNING)
        missing = any(skipped.wanted for skipped in plan.skipped)
        return not missing and all(login.status.state is State.LOGGED_IN for login in logins)

    async def logout(self) -> bool:
        """Remove each login that is still the agent's own. Return whether all of them are gone."""
        return await self._cleanup.remove_all()

    async def _note_preexisting(self, plan: Plan) -> None:
        """Only what is there before the first login is stored can come from the image."""
        await self._deps.reconciler.note_preexisting([login.registry for login in plan.logins])

    def _apply(self, plan: Plan, group: asyncio.TaskGroup) -> None:
        wanted = {login.registry.hostname: login for login in plan.logins}
        skipped = {entry.registry.hostname for entry in plan.skipped}
        pending: dict[str, str | None] = {}
        for hostname, former in [*self._logins.items()]:
            if former.login != wanted.get(hostname):
                pending[hostname] = former.pending_id
                self._end(hostname)
            if hostname not in wanted:
                self._cleanup.retire(former.login.registry, group, disappeared=hostname not in skipped)
        for hostname in self._skipped.keys() - skipped - wanted.keys():
            self._cleanup.retire(parse_hostname(hostname), group)
        if not self._noted:
            self._noted = True
            group.create_task(self._note_preexisting(plan), name="logins:preexisting")
        self._show(plan)
        self._deps.credentials.retain(plan.token_sources)
        for hostname, login in wanted.items():
            if hostname not in self._logins:
                fresh = self._new(login, pending.get(hostname))
                self._tasks[hostname] = group.create_task(fresh.run(), name=f"login:{hostname}")
        self._deps.log.info(
            "plan.changed", logins=sorted(wanted), skipped=sorted(self._skipped), problems=len(plan.problems)
        )
        if plan.complete and plan.all_sources_ok and not self._missing_retired:
            self._missing_retired = True
            self._cleanup.retire_missing({*wanted, *skipped}, group)
        self._complete = self._complete or plan.complete
        settings, self._settings = self._settings, self._deps.settings()
        if self._settings != settings:
            self.wake()

    def _show(self, plan: Plan) -> None:
        """Show the plan's problems and its skipped registries on the board."""
        self._deps.board.report("plan", plan.problems)
        self._want_aws(any(login.asks_aws for login in plan.logins))
        skipped = {row.hostname: row for row in (self._skipped_row(entry) for entry in plan.skipped)}
        for hostname in self._skipped.keys() - skipped.keys() - {str(login.registry) for login in plan.logins}:
            self._deps.board.remove_registry(hostname)
        for hostname, row in skipped.items():
            if row is not self._skipped.get(hostname):
                self._deps.board.put_registry(row)
        self._skipped.clear()
        self._skipped.update(skipped)

    def _new(self, login: Login, pending_id: str | None = None) -> RegistryLogin:
        hostname = login.registry.hostname
        former = self._state_file.entries().get(hostname)
        self._untried.add(hostname)

        def tried() -> None:
            self._untried.discard(hostname)
            self._check_phase()

        ends_at = former.expires_at if former else None
        fresh = RegistryLogin(
            login,
            self._deps,
            ends_at=ends_at,
            endless=self._endless,
            on_first_attempt=tried,
            pending_id=pending_id,
        )
        self._logins[hostname] = fresh
        return fresh

    def _end(self, hostname: str) -> None:
        """End a login's task. What it stored in Docker's configuration stays.

        Do not wait for the task: a credential helper that is writing continues to its end or its deadline, and delays
        only other changes to the same entry. A cancelled task reports nothing more.
        """
        del self._logins[hostname]
        self._untried.discard(hostname)
        self._tasks.pop(hostname).cancel()
        self._deps.board.report(f"login:{hostname}", ())

    def _check_phase(self) -> None:
        if self._complete and not self._untried and not self._running:
            self._running = True
            self._deps.board.set_phase(Phase.RUNNING)

    def _request(self, hostname: str) -> str:
        login = self._logins.get(hostname)
        if login is not None:
            return login.request_now()
        return self._skipped[hostname].attempt_id or ""

    def _skipped_row(self, entry: Skipped) -> RegistryStatus:
        """The row of a skipped registry. It stays the same, with its ID, for as long as nothing else in it changes."""
        former = self._skipped.get(entry.registry.hostname)
        row = RegistryStatus(
            hostname=entry.registry.hostname,
            secret=entry.secret.name,
            scope=entry.secret.scope.value,
            kind=entry.kind.value,
            changed_at=self._deps.clock.now(),
            state=State.SKIPPED,
            last_error=entry.reason,
        )
        if former is not None and row == replace(former, attempt_id=None, changed_at=row.changed_at):
            return former
        return replace(row, attempt_id=self._deps.new_id())
