"""Credential helpers with a lock for each: many rewrite their file in place without one.

The agent's own helper is answered here. If the agent ran it, it would ask itself.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from agent.model.docker_config import Document, Entry, find, store_of
from agent.model.helper_names import OWN_HELPER
from agent.services.ports import CredentialHelpers
from agent.services.read_write_lock import ReadWriteLock
from agent.services.served_logins import ServedLogins


class LockedHelpers:
    def __init__(self, helpers: CredentialHelpers, served: ServedLogins) -> None:
        self._helpers: Final = helpers
        self._served: Final = served
        self._locks: Final[defaultdict[str, ReadWriteLock]] = defaultdict(ReadWriteLock)

    async def servers(self, name: str) -> list[str]:
        async with self._locks[name].reading():
            return await self._helpers.servers(name)

    async def find(self, document: Document, key: str) -> tuple[str, Entry] | None:
        """Return the login that Docker finds for `key`, and the key under which it is stored."""
        helper = store_of(document, key)
        if helper is None:
            return find(document, key)
        login = await self.get(helper, key)
        return (key, login) if login is not None else None

    async def get(self, name: str, server: str) -> Entry | None:
        if name == OWN_HELPER:
            return self._served.entry(server)
        async with self._locks[name].reading():
            return await self._helpers.get(name, server)

    async def store(self, name: str, server: str, entry: Entry, is_due: Callable[[Entry | None], bool]) -> bool:
        """Store the login, if `is_due` is true of the one that is there then. Returns whether it was stored.

        A slow helper can hold up a write for minutes. Meanwhile, a person may log in.
        """
        async with self._locks[name].writing():
            if not is_due(await self._helpers.get(name, server)):
                return False
            await self._helpers.store(name, server, entry)
        return True

    async def erase(self, name: str, server: str, is_due: Callable[[Entry], bool]) -> bool:
        """Remove the login, if `is_due` is true of it then. Returns whether it was removed."""
        async with self._locks[name].writing():
            login = await self._helpers.get(name, server)
            if login is None or not is_due(login):
                return False
            await self._helpers.erase(name, server)
        return True
