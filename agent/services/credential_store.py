"""Placement: whose a stored login is, and one login put into, or taken out of, the store that Docker asks for it."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from agent.model.docker_config import (
    Document,
    Entry,
    Ownership,
    entries,
    find,
    is_docker_key,
    mark,
    named_helpers,
    place,
    remove,
    store_of,
)
from agent.model.hints import helper_hint
from agent.model.problem import Problem, ProblemError
from agent.model.problems.stored_login import CredentialStoreFailed
from agent.model.registry import Registry
from agent.model.stored_state import StoredLogin
from agent.services.read_write_lock import ReadWriteLock

CONFIG_FILE: Final = "config.json"
# As long as a helper may take for one answer.
_NOTE_HELPER_S: Final = 10.0
_NOTED_PER_HELPER: Final = 50
"""Logins in one helper that are looked at, each by a program of its own; a keychain may hold hundreds."""
_REMEMBERED: Final = 8
"""Logins of ours for one registry that are known again, the newest and some before it."""


class ConfigFile(Protocol):
    async def read(self) -> Document: ...
    async def update(self, change: Callable[[Document], Document]) -> Document: ...
    async def remove_leftovers(self) -> None: ...


class Helpers(Protocol):
    async def servers(self, name: str) -> list[str]: ...
    async def get(self, name: str, server: str) -> Entry | None: ...
    async def store(self, name: str, server: str, entry: Entry) -> None: ...
    async def erase(self, name: str, server: str) -> None: ...


class StateFile(Protocol):
    @property
    def preexisting(self) -> Mapping[str, str] | None: ...
    def set_preexisting(self, preexisting: Mapping[str, str]) -> None: ...
    def digest(self, docker_key: str, entry: Entry) -> str: ...
    def entries(self) -> Mapping[str, StoredLogin]: ...
    def set_entry(self, hostname: str, entry: StoredLogin | None) -> None: ...
    async def flush(self) -> None: ...


@dataclass(frozen=True, slots=True)
class DesiredLogin:
    """A login to be kept; `expires_at` is aware and in UTC, None where it does not end."""

    registry: Registry
    entry: Entry
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What Docker now finds in the store that it asks: `login`, whether it is `ours`, whether this call `wrote` it.

    `refusal` is why a helper did not take ours while it gives another one, which may be an `older` one of ours, or
    what the helper made of this one.
    """

    stored_in: str
    login: Entry | None
    ours: bool
    wrote: bool = False
    failure: Problem | None = None
    older: bool = False


class CredentialStore:
    """The store is `credHelpers`' for this key, else `credsStore`, else the file; by docker/cli's own rule.

    Ours is what equals the login to be kept, or what the state_file knows; what the image brought may be replaced;
    anything else is a person's.
    """

    def __init__(self, config: ConfigFile, helpers: Helpers, state_file: StateFile) -> None:
        self._config: Final = config
        self._helpers: Final = helpers
        self._state_file: Final = state_file
        # Many helpers rewrite one file in place, without a lock.
        self._helper_locks: Final[defaultdict[str, ReadWriteLock]] = defaultdict(ReadWriteLock)
        self._preparing: Final = asyncio.Lock()
        self._prepared: Final = asyncio.Event()
        # Helpers whose first look is not over, each with the keys that it is asked for whatever it lists.
        self._unnoted: Final[dict[str, list[str]]] = {}
        self._noting: Final[defaultdict[str, asyncio.Lock]] = defaultdict(asyncio.Lock)
        # What a helper made of the login that it was given, by the key.
        self._rewritten: Final[dict[str, str]] = {}

    async def prepare(self) -> None:
        """Once: clear up, and at the very first start note what the image brought.

        Raises:
            ConfigInvalid, ConfigUnwritable: about the file; the next call tries again.
        """
        async with self._preparing:
            if self._prepared.is_set():
                return
            await self._config.remove_leftovers()
            if self._state_file.preexisting is None:
                document = await self._config.read()
                found = entries(document)
                self._state_file.set_preexisting(
                    {key: self._state_file.digest(key, entry) for key, entry in found.items()}
                )
                self._unnoted.update(named_helpers(document))
            self._prepared.set()

    async def note_helper_logins(self, registries: Iterable[Registry]) -> None:
        """At the very first start, note what the image brought in each helper too, for `registries` first.

        Waits for a configuration that can be read, for which somebody else calls `begin`.

        Raises:
            ConfigInvalid: it can no longer be read.
        """
        with contextlib.suppress(ProblemError):
            await self.prepare()
        await self._prepared.wait()
        document = await self._config.read()
        for key in (registry.docker_key for registry in registries):
            helper = store_of(document, key)
            if helper in self._unnoted:
                self._unnoted[helper].insert(0, key)
        await asyncio.gather(*(self._note_helper(helper) for helper in [*self._unnoted]))

    async def store(self, desired: DesiredLogin, *, take_over: bool) -> StoreResult:
        """Put the login where Docker will find it, unless a person's is there and `take_over` is False.

        Raises:
            ConfigInvalid, ConfigUnwritable: about the file.
            CredentialStoreFailed: about the server; Docker has no login at all for it.
        """
        while True:
            document = await self._config.read()
            helper = store_of(document, desired.registry.docker_key)
            if helper is not None:
                return await self._write_helper(desired, helper, take_over=take_over)
            may_replace = self._ownership(desired.registry, take_over=take_over)
            placed = await self._write_file(desired, document, may_replace)
            if placed is not None:
                return placed

    async def holds(self, registry: Registry) -> bool:
        """Whether Docker finds a login of ours.

        Raises:
            ConfigInvalid, ConfigUnwritable, CredentialStoreFailed: nobody can tell.
        """
        key = registry.docker_key
        document = await self._config.read()
        helper, found = store_of(document, key), find(document, key)
        login = await self._get(helper, key) if helper is not None else found and found[1]
        return login is not None and self._is_known(registry, login)

    async def remove(self, registry: Registry) -> bool:
        """Take the login out if it is still ours, and forget it either way. True: it was, and is out.

        Raises:
            ConfigInvalid, ConfigUnwritable, CredentialStoreFailed: nothing is forgotten.
        """
        key = registry.docker_key
        known = self._state_file.entries().get(registry.hostname)
        if known is None:
            return False

        def ours(_: str, entry: Entry | None) -> bool:
            return entry is not None and self._state_file.digest(key, entry) in known.digests

        document = await self._config.read()
        helper = store_of(document, key)
        in_helper = helper is not None and ours(key, await self._get(helper, key))
        if helper is not None and in_helper:
            async with self._helper_locks[helper].writing():
                await self._helpers.erase(helper, key)
        in_file = ours(key, entries(document).get(key))
        if in_helper or in_file:
            await self._config.update(lambda now: remove(now, key, ours))
        self._state_file.set_entry(registry.hostname, None)
        return in_helper or in_file

    async def _write_file(
        self, desired: DesiredLogin, document: Document, may_replace: Ownership
    ) -> StoreResult | None:
        """None where meanwhile a helper has become this registry's store."""
        key = desired.registry.docker_key

        def change(now: Document) -> Document:
            return now if store_of(now, key) else place(now, key, desired.entry, may_replace)

        after = document
        if change(document) is not document:
            await self._record_before(desired)
            after = await self._config.update(change)
        if store_of(after, key) is not None:
            return None
        found = find(after, key)
        login = found[1] if found else None
        ours = desired.entry.same_login(login)
        if ours:
            await self._record_after(desired)
        return StoreResult(CONFIG_FILE, login, ours, wrote=ours and after is not document)

    async def _write_helper(self, desired: DesiredLogin, helper: str, *, take_over: bool) -> StoreResult:
        key, entry = desired.registry.docker_key, desired.entry
        login = await self._get(helper, key)
        if helper in self._unnoted:
            await self._note_helper(helper)
            login = await self._get(helper, key)  # somebody may have logged in meanwhile
        before = login
        may_replace = self._ownership(desired.registry, take_over=take_over)
        wrote = not entry.same_login(login) and (login is None or may_replace(key, login))
        if wrote:
            try:
                await self._store_in_helper(desired, helper)
            except ProblemError as error:
                if login is None:
                    raise
                older = self._is_known(desired.registry, login)
                return StoreResult(helper, login, ours=False, failure=error.problem, older=older)
            login = await self._get(helper, key)
        if login is None:
            raise ProblemError(
                CredentialStoreFailed(
                    key, f"docker-credential-{helper} said that it stored, but has no login", hint=helper_hint(helper)
                )
            )
        if not entry.same_login(login):
            return self._stored_differently(desired, helper, login, wrote=wrote, new=not login.same_login(before))
        self._rewritten.pop(key, None)
        await self._record_after(desired)
        # Docker finds the login without the marker; only `docker logout` looks for it.
        with contextlib.suppress(ProblemError):
            await self._config.update(lambda now: mark(now, key, may_replace) if store_of(now, key) else now)
        return StoreResult(helper, login, ours=True, wrote=wrote)

    def _stored_differently(
        self, desired: DesiredLogin, helper: str, login: Entry, *, wrote: bool, new: bool
    ) -> StoreResult:
        """What the helper gives instead of ours: a person's login, or what it made of the one that it was given.

        The second is not replaced unasked: whoever logs in just between the store and the look leaves the same trace.
        """
        key, hostname = desired.registry.docker_key, desired.registry.hostname
        digest = self._state_file.digest(key, login)
        if wrote and new:
            self._rewritten[key] = digest
        altered = self._rewritten.get(key) == digest
        if not wrote and not altered:
            return StoreResult(helper, login, ours=False)
        refusal = CredentialStoreFailed(
            key,
            f"docker-credential-{helper} said that it stored, but gives another login",
            hint=f"`registry-agent renew {hostname}` stores the login again; if that does not help, "
            f"{helper_hint(helper)}",
        )
        older = altered or self._is_known(desired.registry, login)
        return StoreResult(helper, login, ours=False, failure=refusal, older=older)

    async def _note_helper(self, helper: str) -> None:
        """Only what is seen now is the image's: what a helper does not tell in time stays as a person's does."""
        async with self._noting[helper]:
            if helper not in self._unnoted:
                return
            seen: dict[str, str] = {}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_NOTE_HELPER_S):
                    async for key in self._keys_in(helper):
                        with contextlib.suppress(ProblemError):
                            login = await self._get(helper, key)
                            if login is not None:
                                seen[f"{helper} {key}"] = self._state_file.digest(key, login)
            self._state_file.set_preexisting({**(self._state_file.preexisting or {}), **seen})
            del self._unnoted[helper]

    async def _keys_in(self, helper: str) -> AsyncIterator[str]:
        """Keys that Docker may ask the helper for: those that are known first, then what it lists, if it can."""
        asked: set[str] = set()
        for known in (True, False):
            for key in self._unnoted[helper] if known else await self._listed(helper):
                if key not in asked and is_docker_key(key) and len(asked) < _NOTED_PER_HELPER:
                    asked.add(key)
                    yield key

    async def _listed(self, helper: str) -> list[str]:
        with contextlib.suppress(ProblemError):
            async with self._helper_locks[helper].reading():
                return await self._helpers.servers(helper)
        return []

    async def _store_in_helper(self, desired: DesiredLogin, helper: str) -> None:
        await self._record_before(desired)
        async with self._helper_locks[helper].writing():
            await self._helpers.store(helper, desired.registry.docker_key, desired.entry)

    async def _get(self, helper: str, key: str) -> Entry | None:
        async with self._helper_locks[helper].reading():
            return await self._helpers.get(helper, key)

    def _is_known(self, registry: Registry, login: Entry) -> bool:
        known = self._state_file.entries().get(registry.hostname)
        return known is not None and self._state_file.digest(registry.docker_key, login) in known.digests

    def _ownership(self, registry: Registry, *, take_over: bool) -> Ownership:
        known = self._state_file.entries().get(registry.hostname)
        digests = known.digests if known else ()
        brought = frozenset((self._state_file.preexisting or {}).values())

        def may_replace(key: str, entry: Entry) -> bool:
            digest = self._state_file.digest(key, entry)
            return take_over or digest in digests or digest in brought

        return may_replace

    async def _record_before(self, desired: DesiredLogin) -> None:
        """Before a write: known as ours is what will be there, and what is there, whichever a kill leaves.

        What was there before that too: a `docker login` elsewhere, which read the file earlier, may bring it back.
        """
        former = self._state_file.entries().get(desired.registry.hostname)
        digest = self._state_file.digest(desired.registry.docker_key, desired.entry)
        before = [other for other in (former.digests if former else ()) if other != digest]
        digests = (digest, *before)[:_REMEMBERED]
        entry = StoredLogin(desired.registry.docker_key, digests, desired.expires_at)
        self._state_file.set_entry(desired.registry.hostname, entry)
        await self._state_file.flush()

    async def _record_after(self, desired: DesiredLogin) -> None:
        """After it: what the image brought under this key is gone, so the same login again is a person's."""
        brought = self._state_file.preexisting or {}
        key = desired.registry.docker_key
        left = {other: digest for other, digest in brought.items() if other.rpartition(" ")[2] != key}
        self._state_file.set_preexisting(left)
        await self._record_before(desired)
