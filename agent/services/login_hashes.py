"""Decides who owns a stored login, from the hashes in the state file."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.model.docker_config import Entry, Ownership
from agent.model.ecr_token import token_end
from agent.model.registry import Registry
from agent.model.stored_state import StoredLogin
from agent.services.ports import StateFile

_REMEMBERED: Final = 8
"""How many of the agent's logins per registry the state directory remembers: the newest and some older ones."""


class LoginHashes:
    """The hashes of the agent's own logins, and of the logins that came with the image.

    `has_ended` returns whether a token with this end is certainly over.
    """

    def __init__(self, state_file: StateFile, has_ended: Callable[[datetime | None], bool]) -> None:
        self._state_file: Final = state_file
        self._has_ended: Final = has_ended

    @property
    def first_start(self) -> bool:
        """Whether the logins that came with the image are not recorded yet."""
        return self._state_file.preexisting is None

    def add_preexisting(self, logins: Mapping[str, tuple[str, Entry]]) -> None:
        """Record logins that came with the image, as Docker's key and the entry, each under a unique name."""
        digests = {name: self.digest(key, entry) for name, (key, entry) in logins.items()}
        self._state_file.set_preexisting({**(self._state_file.preexisting or {}), **digests})

    def digest(self, docker_key: str, entry: Entry) -> str:
        return self._state_file.digest(docker_key, entry)

    def own(self, registry: Registry) -> tuple[str, ...] | None:
        """The hashes of the logins that the agent stored for the registry, the newest first. None if it stored none."""
        stored = self.held(registry)
        return stored.digests if stored else None

    def held(self, registry: Registry) -> StoredLogin | None:
        """The agent's login that Docker holds, as far as known. Its `expires_at` is when that one ends."""
        return self._state_file.entries().get(registry.hostname)

    def known(self, registry: Registry, login: Entry) -> bool:
        """Whether the agent has stored this very login."""
        return self.digest(registry.docker_key, login) in (self.own(registry) or ())

    def note_held(self, registry: Registry, login: Entry) -> bool:
        """Return whether the agent has stored this login, which Docker holds. If so, its end is what counts."""
        stored, digest = self.held(registry), self.digest(registry.docker_key, login)
        if stored is None or digest not in stored.digests:
            return False
        self._state_file.set_entry(registry.hostname, replace(stored, expires_at=stored.end_of(digest)))
        return True

    def ownership(self, registry: Registry, take_over: Collection[str]) -> Ownership:
        """Return a function that decides whether a stored login may be replaced, also by the digests in `take_over`."""
        own, preexisting = self.own(registry) or (), self._preexisting

        def may_replace(key: str, entry: Entry) -> bool:
            digest = self.digest(key, entry)
            # An ECR token that has ended is of no use: all pulls with it fail.
            return digest in own or digest in preexisting or digest in take_over or self._has_ended(token_end(entry))

        return may_replace

    def is_ended_token(self, registry: Registry, login: Entry | None) -> bool:
        """Whether this is an ECR login that a person made, and that has ended."""
        if login is None or not self._has_ended(token_end(login)):
            return False
        return not self.known(registry, login) and self.digest(registry.docker_key, login) not in self._preexisting

    async def record_before(self, registry: Registry, login: Entry, expires_at: datetime | None) -> None:
        """Before a write, record the new login as ours, next to the current one. A kill may leave either of them.

        Older ones stay recorded too: another `docker login` that read the file earlier may write them back.
        """
        current = self.held(registry)
        # If the write fails, the current login stays, with its own end.
        await self._record(registry, login, expires_at, current.expires_at if current else expires_at)

    async def record_after(self, registry: Registry, login: Entry, expires_at: datetime | None) -> None:
        """After a write, forget the image's login under this key. If the same login appears again, a person made it."""
        preexisting = self._state_file.preexisting or {}
        key = registry.docker_key
        remaining = {name: digest for name, digest in preexisting.items() if name.rpartition(" ")[2] != key}
        self._state_file.set_preexisting(remaining)
        await self._record(registry, login, expires_at, expires_at)

    async def _record(
        self, registry: Registry, login: Entry, ends_at: datetime | None, expires_at: datetime | None
    ) -> None:
        digest, stored = self.digest(registry.docker_key, login), self.held(registry)
        before = {other: stored.end_of(other) for other in stored.digests if other != digest} if stored else {}
        ends = dict([(digest, ends_at), *before.items()][:_REMEMBERED])
        # A source counts only for the login that it was recorded for, so it may stay.
        source = stored.source if stored else None
        entry = StoredLogin(registry.docker_key, (*ends,), expires_at, ends, source)
        self._state_file.set_entry(registry.hostname, entry)
        await self._state_file.flush()

    @property
    def _preexisting(self) -> frozenset[str]:
        return frozenset((self._state_file.preexisting or {}).values())

    def forget(self, registry: Registry) -> None:
        """Forget the agent's logins for the registry, because none is stored any more."""
        self._state_file.set_entry(registry.hostname, None)
