"""Records, at the agent's very first start, the logins that came with the image. The agent may replace these once."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Final

from agent.model.docker_config import Document, Entry, entries, is_docker_key, named_helpers, store_of
from agent.model.helper_names import OWN_HELPER
from agent.model.problem import ProblemError
from agent.model.registry import Registry
from agent.services.helper_locks import LockedHelpers
from agent.services.login_hashes import LoginHashes
from agent.services.ports import ConfigFile

# The same as the deadline for one answer of a helper.
_NOTE_HELPER_S: Final = 10.0
_NOTED_PER_HELPER: Final = 50
"""The most logins to record per helper. Each one runs a program, and a keychain can hold hundreds."""


class PreexistingLogins:
    def __init__(self, config: ConfigFile, helpers: LockedHelpers, hashes: LoginHashes) -> None:
        self._config: Final = config
        self._helpers: Final = helpers
        self._hashes: Final = hashes
        self._preparing: Final = asyncio.Lock()
        self._prepared = False
        # Helpers whose existing logins are not recorded yet, each with keys to ask for even if it does not list them.
        self._unrecorded: Final[dict[str, list[str]]] = {}
        self._recording: Final[defaultdict[str, asyncio.Lock]] = defaultdict(asyncio.Lock)

    async def prepare(self) -> None:
        """At the very first start, record the logins in the file. Clean up once.

        Raises a ProblemError about the file; then the next call cleans up.
        """
        async with self._preparing:
            if self._prepared:
                return
            if self._hashes.first_start:
                await self._record_file()
            await self._config.remove_leftovers()
            self._prepared = True

    async def _record_file(self) -> None:
        """Record the logins in the file as it is now. If it cannot be read, none count as the image's.

        There is no second look: until then, a person may have logged in.
        """
        document = await self._read_or_empty()
        self._hashes.add_preexisting({key: (key, entry) for key, entry in entries(document).items()})
        self._unrecorded.update(named_helpers(document))
        self._unrecorded.pop(OWN_HELPER, None)

    async def _read_or_empty(self) -> Document:
        with contextlib.suppress(ProblemError):
            return await self._config.read()
        return {}

    async def note_helper_logins(self, registries: Iterable[Registry]) -> None:
        """At the very first start, also record the logins in each credential helper, for `registries` first.

        The configuration names the helpers. If it cannot be read now, what they hold counts as a person's.
        """
        with contextlib.suppress(ProblemError):
            await self.prepare()
        document = await self._read_or_empty()
        for key in (registry.docker_key for registry in registries):
            helper = store_of(document, key)
            if helper in self._unrecorded:
                self._unrecorded[helper].insert(0, key)
        await asyncio.gather(*(self.record(helper) for helper in [*self._unrecorded]))

    async def record(self, helper: str) -> bool:
        """Record a helper's logins, if they are not recorded yet. Returns whether this took time.

        Logins that it does not return in time count as a person's.
        """
        if helper not in self._unrecorded:
            return False
        async with self._recording[helper]:
            if helper in self._unrecorded:
                await self._record(helper)
        return True

    async def _record(self, helper: str) -> None:
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
