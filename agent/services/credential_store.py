"""Writes a login to the store that Docker uses for it, and removes it again."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.model.desired_login import COMPUTING_HELPERS, CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import (
    Document,
    Entry,
    Ownership,
    entries,
    entries_of,
    find,
    has_own_helper,
    is_docker_key,
    mark,
    named_helpers,
    place,
    remove,
    store_of,
)
from agent.model.hints import helper_hint
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import CannotStore, CredentialStoreFailed
from agent.model.registry import Registry
from agent.services.helper_locks import LockedHelpers
from agent.services.login_hashes import LoginHashes
from agent.services.ports import ConfigFile, CredentialHelpers, StateFile

# The same as the deadline for one answer of a helper.
_NOTE_HELPER_S: Final = 10.0
_NOTED_PER_HELPER: Final = 50
"""The most logins to record per helper. Each one runs a program, and a keychain can hold hundreds."""


class CredentialStore:
    """Uses the store that docker/cli uses: `credHelpers` for this key, else `credsStore`, else the file.

    A stored login is the agent's if it equals the desired one, or if the state file knows it. Logins that came with the
    image may be replaced. Every other login belongs to a person, and stays: an ECR login until its token has ended.
    """

    def __init__(
        self,
        config: ConfigFile,
        helpers: CredentialHelpers,
        state_file: StateFile,
        has_ended: Callable[[datetime | None], bool],
    ) -> None:
        """`has_ended` returns whether a token with this end is over."""
        self._config: Final = config
        self._helpers: Final = LockedHelpers(helpers)
        self._hashes: Final = LoginHashes(state_file, has_ended)
        self._preparing: Final = asyncio.Lock()
        self._prepared: Final = asyncio.Event()
        # Helpers whose existing logins are not recorded yet, each with keys to ask for even if it does not list them.
        self._unrecorded: Final[dict[str, list[str]]] = {}
        self._recording: Final[defaultdict[str, asyncio.Lock]] = defaultdict(asyncio.Lock)
        # By key: the digest of the login that a helper returned instead of the one that it was given.
        self._rewritten: Final[dict[str, str]] = {}
        self._computing: Final = {*COMPUTING_HELPERS}  # the agent tries to store in these only on request

    async def prepare(self) -> None:
        """Clean up once and, at the very first start, record the logins that came with the image.

        Raises:
            ConfigInvalid, ConfigUnwritable: about the file. The next call tries again.
        """
        async with self._preparing:
            if self._prepared.is_set():
                return
            await self._config.remove_leftovers()
            if self._hashes.first_start:
                document = await self._config.read()
                self._hashes.add_preexisting({key: (key, entry) for key, entry in entries(document).items()})
                self._unrecorded.update(named_helpers(document))
            self._prepared.set()

    async def note_helper_logins(self, registries: Iterable[Registry]) -> None:
        """At the very first start, also record the logins in each credential helper, for `registries` first.

        Waits until `prepare` succeeds. If the configuration cannot be read at first, another caller repeats `prepare`.

        Raises:
            ConfigInvalid: the configuration can no longer be read.
        """
        with contextlib.suppress(ProblemError):
            await self.prepare()
        await self._prepared.wait()
        document = await self._config.read()
        for key in (registry.docker_key for registry in registries):
            helper = store_of(document, key)
            if helper in self._unrecorded:
                self._unrecorded[helper].insert(0, key)
        await asyncio.gather(*(self._record_helper(helper) for helper in [*self._unrecorded]))

    async def digests_now(self, registry: Registry) -> frozenset[str]:
        """The digests of all logins that are stored for a registry now. Empty if the store cannot be read."""
        with contextlib.suppress(ProblemError):
            document = await self._config.read()
            found = [await self._find(document, registry.docker_key), *entries_of(document, registry).items()]
            return frozenset(self._hashes.digest(*login) for login in found if login is not None)
        return frozenset()

    async def store(self, desired: DesiredLogin, take_over: Collection[str] = ()) -> StoreResult:
        """Store the login where Docker finds it. A person's login there stays, unless its digest is in `take_over`.

        Raises:
            ConfigInvalid, ConfigUnwritable: about the file.
            CredentialStoreFailed: about the server, for which Docker has no login at all.
        """
        # The configuration may change between the read and the write; then the store is determined again.
        while True:
            document = await self._config.read()
            helper = store_of(document, desired.registry.docker_key)
            if helper is not None:
                chosen = has_own_helper(document, desired.registry.docker_key)
                in_helper = await self._write_helper(desired, helper, take_over)
                return replace(in_helper, persons_helper=chosen or helper in self._computing)
            may_replace = self._hashes.ownership(desired.registry, take_over)
            result = await self._write_file(desired, document, may_replace)
            if result is not None:
                return result

    async def finds(self, registry: Registry) -> bool:
        """Whether Docker finds any login. While a helper fails, Docker uses the login in the file, if there is one."""
        document = await self._config.read()
        with contextlib.suppress(ProblemError):
            return await self._find(document, registry.docker_key) is not None
        return find(document, registry.docker_key) is not None

    async def in_use(self, registry: Registry) -> tuple[Entry, bool] | None:
        """The login that Docker finds, and whether the agent stored it. None if there is none.

        Raises:
            ConfigInvalid, ConfigUnwritable, CredentialStoreFailed: the store cannot be read.
        """
        found = await self._find(await self._config.read(), registry.docker_key)
        return (found[1], self._hashes.known(registry, found[1])) if found is not None else None

    async def remove(self, registry: Registry, is_due: Callable[[], bool]) -> bool:
        """Remove the login if it is still ours, and forget it in any case. True if it was removed.

        If `is_due` is false after the store was read, which may take seconds, nothing is removed or forgotten.

        Raises:
            ConfigInvalid, ConfigUnwritable, CredentialStoreFailed: nothing is forgotten.
        """
        key = registry.docker_key
        own = self._hashes.own(registry)
        if own is None:
            return False

        def ours(_: str, entry: Entry | None) -> bool:
            return entry is not None and self._hashes.digest(key, entry) in own

        document = await self._config.read()
        helper = store_of(document, key)
        in_helper = helper is not None and ours(key, await self._helpers.get(helper, key))
        if not is_due():
            return False
        if helper is not None and in_helper:
            await self._helpers.erase(helper, key)
        in_file = ours(key, entries(document).get(key))
        if in_helper or in_file:
            await self._config.update(lambda now: remove(now, key, ours))
        self._hashes.forget(registry)
        return in_helper or in_file

    async def _write_file(
        self, desired: DesiredLogin, document: Document, may_replace: Ownership
    ) -> StoreResult | None:
        """Write the login to the file. None if a helper has meanwhile become the store for this registry."""
        key = desired.registry.docker_key

        def change(now: Document) -> Document:
            return now if store_of(now, key) else place(now, key, desired.entry, may_replace)

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
        if helper in self._unrecorded:
            await self._record_helper(helper)
            login = await self._helpers.get(helper, key)  # a person may have logged in meanwhile
        before = login
        may_replace = self._hashes.ownership(desired.registry, take_over)
        ended = self._hashes.is_ended_token(desired.registry, login)
        may_store = login is None or helper not in self._computing or bool(take_over)
        wrote = not entry.same_login(login) and may_store and (login is None or may_replace(key, login))
        if wrote:
            try:
                await self._store_in_helper(desired, helper)
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

    async def _record_helper(self, helper: str) -> None:
        """Record a helper's logins as part of the image. Logins that it does not return in time count as a person's."""
        async with self._recording[helper]:
            if helper not in self._unrecorded:
                return
            found: dict[str, tuple[str, Entry]] = {}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_NOTE_HELPER_S):
                    async for key in self._keys_in(helper):
                        with contextlib.suppress(ProblemError):
                            login = await self._helpers.get(helper, key)
                            if login is not None:
                                found[f"{helper} {key}"] = (key, login)
            self._hashes.add_preexisting(found)
            del self._unrecorded[helper]

    async def _keys_in(self, helper: str) -> AsyncIterator[str]:
        """The keys that Docker may ask the helper for: the known ones first, then those that the helper lists."""
        asked: set[str] = set()
        for known in (True, False):
            # Not every helper implements `list`, so the known keys do not depend on it.
            for key in self._unrecorded[helper] if known else await self._listed(helper):
                if key not in asked and is_docker_key(key) and len(asked) < _NOTED_PER_HELPER:
                    asked.add(key)
                    yield key

    async def _listed(self, helper: str) -> list[str]:
        with contextlib.suppress(ProblemError):
            return await self._helpers.servers(helper)
        return []

    async def _store_in_helper(self, desired: DesiredLogin, helper: str) -> None:
        await self._hashes.record_before(desired.registry, desired.entry, desired.expires_at)
        await self._helpers.store(helper, desired.registry.docker_key, desired.entry)

    async def _find(self, document: Document, key: str) -> tuple[str, Entry] | None:
        """The login that Docker finds for `key`, and the key under which it is stored."""
        helper = store_of(document, key)
        if helper is None:
            return find(document, key)
        login = await self._helpers.get(helper, key)
        return (key, login) if login is not None else None
