"""Stores one login, and finds out which login Docker then really uses."""

from collections.abc import Collection
from typing import Final

from agent.model.desired_login import StoreResult
from agent.model.docker_config import Entry
from agent.model.problem import Problem
from agent.model.registry import Registry
from agent.services.credential_store import CredentialStore
from agent.services.managed_login import ManagedLogin
from agent.services.other_logins import OtherLogins
from agent.services.overrides import Overrides
from agent.services.ports import ConfigFile, PodmanFiles


class LoginWriter:
    """Docker uses the variable first, then its store. podman looks into its own files before that."""

    def __init__(
        self,
        store: CredentialStore,
        config: ConfigFile,
        podman: PodmanFiles,
        overrides: Overrides,
        others: OtherLogins,
    ) -> None:
        self._store: Final = store
        self._config: Final = config
        self._podman: Final = podman
        self._overrides: Final = overrides
        self._others: Final = others

    async def write(self, login: ManagedLogin, take_over: Collection[str] = ()) -> StoreResult:
        """Store the login if another one is there, and note what Docker uses."""
        await self._store.preexisting.prepare()
        stored = await self._store.store(login.desired, take_over)
        variable = self._overrides.variable(login.desired.registry)
        stored, other = await self._others.judge(login.desired, stored, variable)
        podman, document = await self._podman.read(), await self._config.read()
        login.take(stored, self._overrides.of(login.desired, stored, podman, document))
        failure = stored.failure.about(login.hostname) if stored.failure and not variable else None
        login.note_other(other, failure, from_variable=variable is not None)
        return stored

    async def look(self, login: ManagedLogin) -> None:
        """Note whether Docker uses another login, without storing the agent's: it has expired."""
        found = await self.in_use(login.desired.registry, login)
        entry, ours = found if found is not None else (None, True)
        login.note_found(entry, ours=ours)

    async def in_use(self, registry: Registry, login: ManagedLogin | None) -> tuple[Entry, bool] | None:
        """The login that Docker uses, and whether it is `login`, or another one that the agent stored."""
        variable = self._overrides.variable(registry)
        if variable is not None:
            return variable, login is not None and login.desired.entry.same_login(variable)
        return await self._store.in_use(registry)

    async def lost(self, registry: Registry, problem: Problem) -> Problem | None:
        """The problem of a store, or None if Docker finds a login all the same."""
        file_is_next = self._overrides.file_is_next()
        finds = self._overrides.variable(registry) or await self._store.finds(registry, file_is_next=file_is_next)
        return None if finds else problem

    def forget(self, hostname: str) -> None:
        """Forget what the registry has answered about other logins."""
        self._others.forget(hostname)
