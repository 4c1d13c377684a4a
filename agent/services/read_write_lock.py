"""Turns at something that many may read at a time, and one writes alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final


class ReadWriteLock:
    """Who waits to write lets no new reader in."""

    def __init__(self) -> None:
        self._door: Final = asyncio.Lock()
        self._readers = 0
        self._empty: Final = asyncio.Event()
        self._empty.set()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        async with self._door:
            self._readers += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._empty.set()

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        async with self._door:
            await self._empty.wait()
            yield
