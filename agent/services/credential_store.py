"""Writes a login to the store that Docker uses for it, and removes it again."""

import contextlib
from collections.abc import Callable, Collection, Hashable
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.model.desired_login import COMPUTING_HELPERS, CONFIG_FILE, MEMORY, DesiredLogin, StoreResult
from agent.model.docker_config import (
    Document,
    Entry,
    Ownership,
    entries,
    entries_of,
    find,
    has_own_helper,
    mark,
    place,
    remove,
    store_of,
)
from agent.model.helper_lines import is_served, without_lines
from agent.model.hints import helper_hint
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import CannotStore, CredentialStoreFailed
from agent.model.registry import Registry
from agent.model.stored_state import StoredLogin
from agent.services.helper_locks import LockedHelpers
from agent.services.login_hashes import LoginHashes
from agent.services.memory_store import MemoryStore
from agent.services.ports import ConfigFile, CredentialHelpers, StateFile, StoreChoice
from agent.services.preexisting_logins import PreexistingLogins
from agent.services.served_logins import ServedLogins


class CredentialStore:
    """Uses the store that docker/cli uses: `credHelpers` for this key, else `credsStore`, else the file.

    If `choice` wants that, Docker asks the agent instead. A person's own line in `credHelpers` takes precedence.
    A stored login is the agent's if it equals the desired one, or if the state file knows it. Logins that came with the
    image may be replaced. Every other login belongs to a person, and stays: an ECR login until its token has ended.
    """

    def __init__(
        self,
        config: ConfigFile,
        helpers: CredentialHelpers,
        state_file: StateFile,
        *,
        has_ended: Callable[[datetime | None], bool],
        choice: StoreChoice,
        served: ServedLogins,
    ) -> None:
        """`has_ended` returns whether a token with this end is certainly over."""
        self.choice: Final = choice
        self._served: Final = served
        self._config: Final = config
        self._helpers: Final = LockedHelpers(helpers, served)
        self._hashes: Final = LoginHashes(state_file, has_ended)
        self.preexisting: Final = PreexistingLogins(config, self._helpers, self._hashes)
        self.memory: Final = MemoryStore(config, self._helpers, self._hashes, served, self.preexisting)
        # By key: the digest of the login that a helper returned instead of the one that it was given.
        self._rewritten: Final[dict[str, str]] = {}
        self._computing: Final = {*COMPUTING_HELPERS}  # the agent tries to store in these only on request

    async def signature(self) -> Hashable:
        """Return a value that differs whenever a login may have to be stored again."""
        return await self._config.signature(), await self.choice.wanted()

    async def digests_now(self, registry: Registry) -> frozenset[str]:
        """The digests of all logins that are stored for a registry now. Empty if the store cannot be read."""
        with contextlib.suppress(ProblemError):
            document = await self._config.read()
            found = [await self._helpers.find(document, registry.docker_key), *entries_of(document, registry).items()]
            return frozenset(self._hashes.digest(*login) for login in found if login is not None)
        return frozenset()

    async def store(self, desired: DesiredLogin, take_over: Collection[str] = ()) -> StoreResult:
        """Store the login where Docker finds it. A person's login there stays, unless its digest is in `take_over`.

        Raises a ProblemError about the file, or about the server, for which Docker then has no login at all.
        """
        is_new = self._served.publish(desired)
        wanted = await self.choice.wanted()
        # The configuration may change between the read and the write; then the store is determined again.
        while True:
            document = await self._config.read()
            try:
                if wanted and await self.memory.may_store(desired, document, take_over):
                    result = await self.memory.store(desired, document, take_over)
                else:
                    result = await self._store_outside(desired, document, take_over)
            except ProblemError as error:
                if not await self._asks_agent(document, desired.registry):
                    raise
                # The login cannot be moved, so its line stays, and Docker gets it from here.
                await self._hashes.record_after(desired.registry, desired.entry, desired.expires_at)
                result = StoreResult(MEMORY, desired.entry, ours=True, failure=error.problem, unsettled=True)
            if result is not None:
                return replace(result, wrote=result.wrote or is_new) if result.stored_in == MEMORY else result

    async def announce(self, registry: Registry) -> None:
        """Let Docker ask the agent before the first login, if it is to do so. Raises a ProblemError about the store."""
        if not registry.is_public and await self.choice.wanted():
            await self.memory.announce(registry)

    async def finds(self, registry: Registry, *, file_is_next: bool) -> bool:
        """Whether Docker finds any login. `file_is_next`: if a helper fails, Docker uses the login in the file."""
        with contextlib.suppress(ProblemError):
            document = await self._config.read()
            if is_served(document, registry) and not await self._asks_agent(document, registry):
                return False
            return await self.in_use(registry) is not None
        with contextlib.suppress(ProblemError):
            return file_is_next and find(await self._config.read(), registry.docker_key) is not None
        return False  # Docker cannot use the file either

    async def _asks_agent(self, document: Document, registry: Registry) -> bool:
        """Whether Docker gets the login from the agent: there is a line, and the program that it names can be run."""
        return is_served(document, registry) and await self.choice.possible()

    async def in_use(self, registry: Registry) -> tuple[Entry, bool] | None:
        """The login that Docker finds, and whether the agent stored it. None if there is none.

        Raises a ProblemError if the store cannot be read.
        """
        found = await self._helpers.find(await self._config.read(), registry.docker_key)
        return (found[1], self._hashes.note_held(registry, found[1])) if found is not None else None

    def held(self, registry: Registry) -> StoredLogin | None:
        """The agent's login that Docker holds, as far as known. Its `expires_at` is when that one ends."""
        return self._hashes.held(registry)

    async def remove(self, registry: Registry, is_due: Callable[[], bool], *, keep_line: bool = False) -> bool:
        """Remove the login if it is still ours, and forget it in any case. True if it was removed.

        With `keep_line`, Docker goes on to ask the agent, which then answers why there is no login, and the line is
        remembered, but not for a public registry. `is_due` is asked again at the moment of each write, for which a slow
        store may make this wait. Once it is false, nothing changes. If this raises a ProblemError, the agent no longer
        gives the login to programs, but nothing is forgotten: a copy may be left, and the next call removes it.
        """
        own = self._hashes.own(registry)
        if own is None:
            return False
        try:
            return await self._remove(registry, own, is_due, keep_line=keep_line)
        except ProblemError:
            # With `keep_line`, a newer login may be served that could not be stored.
            served = self._served.entry(registry.docker_key)
            is_old = served is not None and self._hashes.digest(registry.docker_key, served) in own
            if is_due() and (is_old or not keep_line):
                self._served.withdraw(registry)
            raise

    async def _remove(
        self, registry: Registry, own: Collection[str], is_due: Callable[[], bool], *, keep_line: bool
    ) -> bool:
        key = registry.docker_key

        def ours(_: str, entry: Entry | None) -> bool:
            return entry is not None and self._hashes.digest(key, entry) in own

        document = await self._config.read()
        served, without = is_served(document, registry), without_lines(document, registry)
        helper, in_helper = store_of(without, key), False
        failure: ProblemError | None = None
        try:
            if helper is not None and ours(key, await self._helpers.get(helper, key)):
                in_helper = await self._helpers.erase(helper, key, lambda entry: ours(key, entry) and is_due())
        except ProblemError as error:
            failure = error  # the login may be elsewhere: in the agent's memory, or in the file
        in_file = ours(key, entries(document).get(key))
        keep = keep_line and served and not registry.is_public and await self.choice.wanted()

        def changed(now: Document) -> Document:
            return remove(now if keep else without_lines(now, registry), key, ours)

        # What was removed from the helper needs no marker in the file, whatever is due by now.
        if not in_helper and not is_due():
            return False
        if in_helper or in_file or served:
            document = await self._config.update(lambda now: changed(now) if in_helper or is_due() else now)
            if changed(document) is not document:
                return False  # it was not due any more
        if failure is not None:
            raise failure
        self._served.withdraw(registry)
        if not keep:
            self._hashes.forget(registry)
        return in_helper or in_file or served

    async def _store_outside(
        self, desired: DesiredLogin, document: Document, take_over: Collection[str]
    ) -> StoreResult | None:
        """Store the login where Docker finds it without the agent, and then remove the line that names the agent."""
        registry, key = desired.registry, desired.registry.docker_key
        helper = store_of(without_lines(document, registry), key)
        if helper is None:
            return await self._write_file(desired, document, self._hashes.ownership(registry, take_over))
        chosen = has_own_helper(document, key) and not is_served(document, registry)
        in_helper = await self._write_helper(desired, helper, take_over)
        if without_lines(document, registry) is not document:
            await self._config.update(lambda now: without_lines(now, registry))
        return replace(in_helper, persons_helper=chosen or helper in self._computing)

    async def _write_file(
        self, desired: DesiredLogin, document: Document, may_replace: Ownership
    ) -> StoreResult | None:
        """Write the login to the file. None if a helper has meanwhile become the store for this registry."""
        key = desired.registry.docker_key

        def change(now: Document) -> Document:
            without = without_lines(now, desired.registry)
            return now if store_of(without, key) else place(without, key, desired.entry, may_replace)

        after, before = document, find(document, key)
        ended = before is not None and self._hashes.is_ended_token(desired.registry, before[1])
        if change(document) is not document:
            await self._hashes.record_before(desired.registry, desired.entry, desired.expires_at)
            after = await self._config.update(change)
        if store_of(after, key) is not None:
            return None
        found = find(after, key)
        login = found[1] if found else None
        ours = desired.entry.same_login(login)
        if ours:
            await self._hashes.record_after(desired.registry, desired.entry, desired.expires_at)
        wrote = ours and after is not document
        return StoreResult(CONFIG_FILE, login, ours, wrote=wrote, replaced_ended=wrote and ended)

    async def _write_helper(self, desired: DesiredLogin, helper: str, take_over: Collection[str]) -> StoreResult:
        key, entry = desired.registry.docker_key, desired.entry
        login = await self._helpers.get(helper, key)
        if await self.preexisting.record(helper):
            login = await self._helpers.get(helper, key)  # a person may have logged in meanwhile
        before = login
        may_replace = self._hashes.ownership(desired.registry, take_over)
        ended = self._hashes.is_ended_token(desired.registry, login)

        def is_due(found: Entry | None) -> bool:
            may_store = helper not in self._computing or bool(take_over)
            return found is None or (not entry.same_login(found) and may_store and may_replace(key, found))

        wrote = is_due(login)
        if wrote:
            try:
                await self._hashes.record_before(desired.registry, entry, desired.expires_at)
                wrote = await self._helpers.store(helper, key, entry, is_due)
            except ProblemError as error:
                if isinstance(error.problem, CannotStore):
                    self._computing.add(helper)
                if login is None:
                    raise
                older = self._hashes.known(desired.registry, login)
                return StoreResult(helper, login, ours=False, failure=error.problem, older=older)
            login = await self._helpers.get(helper, key)
        if login is None:
            message = f"docker-credential-{helper} reported success, but has no login"
            raise ProblemError(CredentialStoreFailed(key, message, hint=helper_hint(helper)))
        if not entry.same_login(login):
            return self._stored_differently(desired, helper, login, wrote=wrote, new=not login.same_login(before))
        self._rewritten.pop(key, None)
        await self._hashes.record_after(desired.registry, desired.entry, desired.expires_at)
        # Only `docker logout` needs the marker in the file; Docker finds the login without it.
        with contextlib.suppress(ProblemError):
            await self._config.update(lambda now: mark(now, key, may_replace) if store_of(now, key) else now)
        return StoreResult(helper, login, ours=True, wrote=wrote, replaced_ended=wrote and ended)

    def _stored_differently(
        self, desired: DesiredLogin, helper: str, login: Entry, *, wrote: bool, new: bool
    ) -> StoreResult:
        """The result when a helper returns another login: a person's, or a changed copy of the one that it was given.

        A changed copy is replaced only on request. If a person logs in between the write and the read that follows it,
        the result looks the same.
        """
        key, hostname = desired.registry.docker_key, desired.registry.hostname
        digest = self._hashes.digest(key, login)
        if wrote and new:
            self._rewritten[key] = digest
        elif wrote:
            self._computing.add(helper)
        rewritten = self._rewritten.get(key) == digest
        if not wrote and not rewritten:
            return StoreResult(helper, login, ours=False)
        failure = CredentialStoreFailed(
            key,
            f"docker-credential-{helper} reported success, but returns another login",
            hint=f"run `registry-agent renew {hostname}` to store the login again; if that does not help, "
            f"{helper_hint(helper)}",
        )
        older = rewritten or self._hashes.known(desired.registry, login)
        return StoreResult(helper, login, ours=False, failure=failure, older=older)
