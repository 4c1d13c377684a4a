"""Placement: whose a stored login is, and one login put into, or taken out of, the store that Docker asks for it."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from agent.model.docker_auth import (
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
from agent.model.hints import of_helper
from agent.model.ledger import LedgerEntry
from agent.model.problems.keeping import ConfigInvalid, ConfigUnwritable, CredentialStoreFailed
from agent.model.registry import Registry
from agent.services.turns import Turns

CONFIG_FILE: Final = "config.json"
# As long as a helper may take for one answer.
_FIRST_LOOK_S: Final = 10.0
_LOOKED_AT: Final = 50
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


class Ledger(Protocol):
    @property
    def brought(self) -> Mapping[str, str] | None: ...
    def set_brought(self, brought: Mapping[str, str]) -> None: ...
    def digest(self, docker_key: str, entry: Entry) -> str: ...
    def entries(self) -> Mapping[str, LedgerEntry]: ...
    def set_entry(self, hostname: str, entry: LedgerEntry | None) -> None: ...
    async def flush(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """A login to be kept; `expires_at` is aware and in UTC, None where it does not end."""

    registry: Registry
    entry: Entry
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Placed:
    """What Docker now finds in the store that it asks: `login`, whether it is `ours`, whether this call `wrote` it.

    `refusal` is why a helper did not take ours while it gives another one, which may be an `older` one of ours, or
    what the helper made of this one.
    """

    stored_in: str
    login: Entry | None
    ours: bool
    wrote: bool = False
    refusal: CredentialStoreFailed | None = None
    older: bool = False


class Placement:
    """The store is `credHelpers`' for this key, else `credsStore`, else the file; by docker/cli's own rule.

    Ours is what equals the login to be kept, or what the ledger knows; what the image brought may be replaced;
    anything else is a person's.
    """

    def __init__(self, config: ConfigFile, helpers: Helpers, ledger: Ledger) -> None:
        self._config: Final = config
        self._helpers: Final = helpers
        self._ledger: Final = ledger
        # Many helpers rewrite one file in place, without a lock.
        self._helper_turns: Final[defaultdict[str, Turns]] = defaultdict(Turns)
        self._beginning: Final = asyncio.Lock()
        self._begun: Final = asyncio.Event()
        # Helpers whose first look is not over, each with the keys that it is asked for whatever it lists.
        self._unseen: Final[dict[str, list[str]]] = {}
        self._looking: Final[defaultdict[str, asyncio.Lock]] = defaultdict(asyncio.Lock)
        # What a helper made of the login that it was given, by the key.
        self._altered: Final[dict[str, str]] = {}

    async def begin(self) -> None:
        """Once: clear up, and at the very first start note what the image brought.

        Raises:
            ConfigInvalid, ConfigUnwritable: about the file; the next call tries again.
        """
        async with self._beginning:
            if self._begun.is_set():
                return
            await self._config.remove_leftovers()
            if self._ledger.brought is None:
                document = await self._config.read()
                found = entries(document)
                self._ledger.set_brought({key: self._ledger.digest(key, entry) for key, entry in found.items()})
                self._unseen.update(named_helpers(document))
            self._begun.set()

    async def look_into_helpers(self, registries: Iterable[Registry]) -> None:
        """At the very first start, note what the image brought in each helper too, for `registries` first.

        Waits for a configuration that can be read, for which somebody else calls `begin`.

        Raises:
            ConfigInvalid: it can no longer be read.
        """
        with contextlib.suppress(ConfigInvalid, ConfigUnwritable):
            await self.begin()
        await self._begun.wait()
        document = await self._config.read()
        for key in (registry.docker_key for registry in registries):
            helper = store_of(document, key)
            if helper in self._unseen:
                self._unseen[helper].insert(0, key)
        await asyncio.gather(*(self._first_look(helper) for helper in [*self._unseen]))

    async def put(self, order: Order, *, take_over: bool) -> Placed:
        """Put the login where Docker will find it, unless a person's is there and `take_over` is False.

        Raises:
            ConfigInvalid, ConfigUnwritable: about the file.
            CredentialStoreFailed: about the server; Docker has no login at all for it.
        """
        while True:
            document = await self._config.read()
            helper = store_of(document, order.registry.docker_key)
            if helper is not None:
                return await self._put_into_helper(order, helper, take_over=take_over)
            may_replace = self._ownership(order.registry, take_over=take_over)
            placed = await self._put_into_file(order, document, may_replace)
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

    async def take_out(self, registry: Registry) -> bool:
        """Take the login out if it is still ours, and forget it either way. True: it was, and is out.

        Raises:
            ConfigInvalid, ConfigUnwritable, CredentialStoreFailed: nothing is forgotten.
        """
        key = registry.docker_key
        known = self._ledger.entries().get(registry.hostname)
        if known is None:
            return False

        def ours(_: str, entry: Entry | None) -> bool:
            return entry is not None and self._ledger.digest(key, entry) in known.digests

        document = await self._config.read()
        helper = store_of(document, key)
        in_helper = helper is not None and ours(key, await self._get(helper, key))
        if helper is not None and in_helper:
            async with self._helper_turns[helper].writing():
                await self._helpers.erase(helper, key)
        in_file = ours(key, entries(document).get(key))
        if in_helper or in_file:
            await self._config.update(lambda now: remove(now, key, ours))
        self._ledger.set_entry(registry.hostname, None)
        return in_helper or in_file

    async def _put_into_file(self, order: Order, document: Document, may_replace: Ownership) -> Placed | None:
        """None where meanwhile a helper has become this registry's store."""
        key = order.registry.docker_key

        def change(now: Document) -> Document:
            return now if store_of(now, key) else place(now, key, order.entry, may_replace)

        after = document
        if change(document) is not document:
            await self._note(order)
            after = await self._config.update(change)
        if store_of(after, key) is not None:
            return None
        found = find(after, key)
        login = found[1] if found else None
        ours = order.entry.same_login(login)
        if ours:
            await self._confirm(order)
        return Placed(CONFIG_FILE, login, ours, wrote=ours and after is not document)

    async def _put_into_helper(self, order: Order, helper: str, *, take_over: bool) -> Placed:
        key, entry = order.registry.docker_key, order.entry
        login = await self._get(helper, key)
        if helper in self._unseen:
            await self._first_look(helper)
            login = await self._get(helper, key)  # somebody may have logged in meanwhile
        before = login
        may_replace = self._ownership(order.registry, take_over=take_over)
        wrote = not entry.same_login(login) and (login is None or may_replace(key, login))
        if wrote:
            try:
                await self._store(order, helper)
            except CredentialStoreFailed as refusal:
                if login is None:
                    raise
                older = self._is_known(order.registry, login)
                return Placed(helper, login, ours=False, refusal=refusal, older=older)
            login = await self._get(helper, key)
        if login is None:
            raise CredentialStoreFailed(
                key, f"docker-credential-{helper} said that it stored, but has no login", hint=of_helper(helper)
            )
        if not entry.same_login(login):
            return self._not_kept(order, helper, login, wrote=wrote, new=not login.same_login(before))
        self._altered.pop(key, None)
        await self._confirm(order)
        # Docker finds the login without the marker; only `docker logout` looks for it.
        with contextlib.suppress(ConfigUnwritable):
            await self._config.update(lambda now: mark(now, key, may_replace) if store_of(now, key) else now)
        return Placed(helper, login, ours=True, wrote=wrote)

    def _not_kept(self, order: Order, helper: str, login: Entry, *, wrote: bool, new: bool) -> Placed:
        """What the helper gives instead of ours: a person's login, or what it made of the one that it was given.

        The second is not replaced unasked: whoever logs in just between the store and the look leaves the same trace.
        """
        key, hostname = order.registry.docker_key, order.registry.hostname
        digest = self._ledger.digest(key, login)
        if wrote and new:
            self._altered[key] = digest
        altered = self._altered.get(key) == digest
        if not wrote and not altered:
            return Placed(helper, login, ours=False)
        refusal = CredentialStoreFailed(
            key,
            f"docker-credential-{helper} said that it stored, but gives another login",
            hint=f"`registry-agent renew {hostname}` stores the login again; if that does not help, "
            f"{of_helper(helper)}",
        )
        older = altered or self._is_known(order.registry, login)
        return Placed(helper, login, ours=False, refusal=refusal, older=older)

    async def _first_look(self, helper: str) -> None:
        """Only what is seen now is the image's: what a helper does not tell in time stays as a person's does."""
        async with self._looking[helper]:
            if helper not in self._unseen:
                return
            seen: dict[str, str] = {}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_LOOK_S):
                    async for key in self._keys_in(helper):
                        with contextlib.suppress(CredentialStoreFailed):
                            login = await self._get(helper, key)
                            if login is not None:
                                seen[f"{helper} {key}"] = self._ledger.digest(key, login)
            self._ledger.set_brought({**(self._ledger.brought or {}), **seen})
            del self._unseen[helper]

    async def _keys_in(self, helper: str) -> AsyncIterator[str]:
        """Keys that Docker may ask the helper for: those that are known first, then what it lists, if it can."""
        asked: set[str] = set()
        for known in (True, False):
            for key in self._unseen[helper] if known else await self._listed(helper):
                if key not in asked and is_docker_key(key) and len(asked) < _LOOKED_AT:
                    asked.add(key)
                    yield key

    async def _listed(self, helper: str) -> list[str]:
        with contextlib.suppress(CredentialStoreFailed):
            async with self._helper_turns[helper].reading():
                return await self._helpers.servers(helper)
        return []

    async def _store(self, order: Order, helper: str) -> None:
        await self._note(order)
        async with self._helper_turns[helper].writing():
            await self._helpers.store(helper, order.registry.docker_key, order.entry)

    async def _get(self, helper: str, key: str) -> Entry | None:
        async with self._helper_turns[helper].reading():
            return await self._helpers.get(helper, key)

    def _is_known(self, registry: Registry, login: Entry) -> bool:
        known = self._ledger.entries().get(registry.hostname)
        return known is not None and self._ledger.digest(registry.docker_key, login) in known.digests

    def _ownership(self, registry: Registry, *, take_over: bool) -> Ownership:
        known = self._ledger.entries().get(registry.hostname)
        digests = known.digests if known else ()
        brought = frozenset((self._ledger.brought or {}).values())

        def may_replace(key: str, entry: Entry) -> bool:
            digest = self._ledger.digest(key, entry)
            return take_over or digest in digests or digest in brought

        return may_replace

    async def _note(self, order: Order) -> None:
        """Before a write: known as ours is what will be there, and what is there, whichever a kill leaves.

        What was there before that too: a `docker login` elsewhere, which read the file earlier, may bring it back.
        """
        former = self._ledger.entries().get(order.registry.hostname)
        digest = self._ledger.digest(order.registry.docker_key, order.entry)
        before = [other for other in (former.digests if former else ()) if other != digest]
        digests = (digest, *before)[:_REMEMBERED]
        entry = LedgerEntry(order.registry.docker_key, digests, order.expires_at)
        self._ledger.set_entry(order.registry.hostname, entry)
        await self._ledger.flush()

    async def _confirm(self, order: Order) -> None:
        """After it: what the image brought under this key is gone, so the same login again is a person's."""
        brought = self._ledger.brought or {}
        key = order.registry.docker_key
        left = {other: digest for other, digest in brought.items() if other.rpartition(" ")[2] != key}
        self._ledger.set_brought(left)
        await self._note(order)
