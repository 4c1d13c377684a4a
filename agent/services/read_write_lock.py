"""A lock for asyncio that admits many readers or one writer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final


class ReadWriteLock:
    """Readers share the lock. A waiting writer blocks new readers, so it cannot starve."""

    def __init__(self) -> None:
        self._entry: Final = asyncio.Lock()
        self._readers = 0
        self._no_readers: Final = asyncio.Event()
        self._no_readers.set()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        async with self._entry:
            self._readers += 1
            self._no_readers.clear()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._no_readers.set()

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        async with self._entry:
            # The entry stays locked until the writer is done, so no reader comes in.
            await self._no_readers.wait()
            yield
