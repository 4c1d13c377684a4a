"""Makes Docker ask the agent for a login, so that no secret is on disk."""

import contextlib
from collections.abc import Collection
from typing import Final

from agent.model.desired_login import MEMORY, DesiredLogin, StoreResult
from agent.model.docker_config import Document, Entry, Ownership, find, store_of
from agent.model.helper_lines import (
    has_any_line,
    has_other_line,
    is_served,
    keys_of,
    with_lines,
    without_lines,
    without_lines_except,
)
from agent.model.problem import ProblemError
from agent.model.registry import Registry
from agent.services.helper_locks import LockedHelpers
from agent.services.login_hashes import LoginHashes
from agent.services.ports import ConfigFile
from agent.services.preexisting_logins import PreexistingLogins
from agent.services.served_logins import ServedLogins


class MemoryStore:
    """Writes lines into Docker's `credHelpers`. The logins themselves are in `served`.

    The rules about ownership are those of Docker's own store: a login or a line of a person stays.
    """

    def __init__(
        self,
        config: ConfigFile,
        helpers: LockedHelpers,
        hashes: LoginHashes,
        served: ServedLogins,
        preexisting: PreexistingLogins,
    ) -> None:
        self._config: Final = config
        self._helpers: Final = helpers
        self._hashes: Final = hashes
        self._served: Final = served
        self._preexisting: Final = preexisting
        # Keys whose line overrides a store that could not be read, so it may hold a person's login.
        self._unread: Final[set[str]] = set()

    async def may_store(self, desired: DesiredLogin, document: Document, take_over: Collection[str]) -> bool:
        """Whether no login or line of a person would be overridden if Docker asked the agent."""
        registry, key = desired.registry, desired.registry.docker_key
        if is_served(document, registry) and key not in self._unread:
            return True
        without = without_lines(document, registry)
        # The same question as in `store`: if the answers differed, a login without a line would count as stored.
        if not is_served(with_lines(without, registry, self._ownership(desired, take_over)), registry):
            return False
        helper = store_of(without, key)
        if helper is None:
            return True
        await self._preexisting.record(helper)
        try:
            login = await self._helpers.get(helper, key)
        except ProblemError:
            # The helper for all registries fails, as VS Code's does when its window is closed. Up to docker 28, Docker
            # then uses the login in the file.
            found = find(without, key)
        else:
            found = (key, login) if login is not None else None
        return found is None or self._ownership(desired, take_over)(*found)

    async def store(self, desired: DesiredLogin, document: Document, take_over: Collection[str]) -> StoreResult | None:
        """Write the lines, and remove the agent's login from Docker's own store.

        Returns None if a person's login or line has appeared meanwhile. Raises a ProblemError about the file.
        """
        registry, is_ours = desired.registry, self._ownership(desired, take_over)
        await self._hashes.record_before(registry, desired.entry, desired.expires_at)
        after, ended = document, False
        if with_lines(document, registry, is_ours) is not document:
            after = await self._config.update(lambda now: with_lines(now, registry, is_ours))
            in_use = store_of(document, registry.docker_key) is None
            before = find(document, registry.docker_key) if in_use else None
            ended = before is not None and self._hashes.is_ended_token(registry, before[1])
        if not is_served(after, registry):
            return None
        wrote = after is not document
        if wrote or registry.docker_key in self._unread:
            await self._erase_former(document, registry, is_ours)
        await self._hashes.record_after(registry, desired.entry, desired.expires_at)
        unsettled = registry.docker_key in self._unread
        return StoreResult(MEMORY, desired.entry, ours=True, wrote=wrote, replaced_ended=ended, unsettled=unsettled)

    async def announce(self, registry: Registry) -> None:
        """Let Docker ask the agent before there is a login: it then waits for the first one, or gets the reason.

        Not if Docker finds any login now. It may work. Raises a ProblemError if that cannot be read, or about the file.
        """
        document, key = await self._config.read(), registry.docker_key
        if not has_any_line(document, registry) and await self._helpers.find(document, key) is None:
            # Podman uses a login in the file even if Docker ignores it.
            await self._config.update(lambda now: now if find(now, key) else with_lines(now, registry, _nothing))

    async def asked_for(self) -> list[DesiredLogin]:
        """The logins for which Docker asks the agent. Raises a ProblemError about the file."""
        document = await self._config.read()
        return [login for login in self._served.logins() if is_served(document, login.registry)]

    async def on_disk(self) -> list[DesiredLogin]:
        """The logins that the agent stored in the file, and that it may move. Raises a ProblemError about the file.

        A login that Docker ignores is left out: to move it would make Docker use it again.
        """
        document, found = await self._config.read(), []
        for login in self._served.logins():
            registry, copy = login.registry, find(document, login.registry.docker_key)
            is_used = store_of(without_lines(document, registry), registry.docker_key) is None
            if is_used and not has_other_line(document, registry) and copy and self._hashes.known(registry, copy[1]):
                found.append(login)
        return found

    def serves(self, login: DesiredLogin) -> bool:
        """Whether the agent gives this very login to programs that ask for it."""
        return self._served.login(login.registry.docker_key) is login

    async def release(self, registry: Registry, *, only_unserved: bool = False) -> None:
        """Let Docker look in its own store again. A login that is stored there stays.

        With `only_unserved`, a line stays as long as a login is served for it. Raises a ProblemError if a line is left.
        """
        if only_unserved and self._served.login(registry.docker_key) is not None:
            return
        await self._config.update(lambda now: without_lines(now, registry))
        self._served.withdraw(registry)

    async def release_except(self, registries: Collection[Registry]) -> None:
        """Remove the lines of all other registries. Raises a ProblemError if they are still there."""
        kept = frozenset(key for registry in registries for key in keys_of(registry))
        await self._config.update(lambda now: without_lines_except(now, kept))

    async def release_unserved(self, registries: Collection[Registry]) -> None:
        """Do the same, but keep those for which a login is served."""
        await self.release_except([*registries, *(login.registry for login in self._served.logins())])

    async def _erase_former(self, document: Document, registry: Registry, is_ours: Ownership) -> None:
        """Remove the agent's login from the helper that Docker has used until now. It may be broken, or gone."""
        key = registry.docker_key
        helper = store_of(without_lines(document, registry), key)
        self._unread.discard(key)
        if helper is None:
            return
        try:
            login = await self._helpers.get(helper, key)
        except ProblemError:
            self._unread.add(key)
            return
        if login is not None and is_ours(key, login):
            with contextlib.suppress(ProblemError):
                await self._helpers.erase(helper, key, lambda found: is_ours(key, found))

    def _ownership(self, desired: DesiredLogin, take_over: Collection[str]) -> Ownership:
        may_replace = self._hashes.ownership(desired.registry, take_over)
        return lambda key, entry: desired.entry.same_login(entry) or may_replace(key, entry)


def _nothing(_key: str, _entry: Entry) -> bool:
    """No login may be replaced."""
    return False
