"""Credential helpers with a lock for each: many rewrite their file in place without one."""

from collections import defaultdict
from typing import Final

from agent.model.docker_config import Entry
from agent.services.ports import CredentialHelpers
from agent.services.read_write_lock import ReadWriteLock


class LockedHelpers:
    def __init__(self, helpers: CredentialHelpers) -> None:
        self._helpers: Final = helpers
        self._locks: Final[defaultdict[str, ReadWriteLock]] = defaultdict(ReadWriteLock)

    async def servers(self, name: str) -> list[str]:
        async with self._locks[name].reading():
            return await self._helpers.servers(name)

    async def get(self, name: str, server: str) -> Entry | None:
        async with self._locks[name].reading():
            return await self._helpers.get(name, server)

    async def store(self, name: str, server: str, entry: Entry) -> None:
        async with self._locks[name].writing():
            await self._helpers.store(name, server, entry)

    async def erase(self, name: str, server: str) -> None:
        async with self._locks[name].writing():
            await self._helpers.erase(name, server)
