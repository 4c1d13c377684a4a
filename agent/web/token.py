"""Checks the token for TCP. The file is read again for each request, and the comparison takes constant time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from agent.model.sensitive import Sensitive

_PATIENCE_S: Final = 5.0


class Bearer(Enum):
    """The result of checking a request's `Authorization` header."""

    NOT_CONFIGURED = "not configured"
    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"
    UNREADABLE = "unreadable"


@dataclass(eq=False)
class TokenFile:
    """Reads the configured token. A file system that hangs blocks only one thread, however many requests wait."""

    path: Callable[[], Path | None]
    read: Callable[[Path], Sensitive]
    patience_s: float = _PATIENCE_S
    _reading: tuple[Path, asyncio.Task[Sensitive]] | None = field(default=None, init=False)

    async def check(self, authorization: str | None) -> Bearer:
        """Compare the header's value with the token that is in the file now."""
        path = self.path()
        if path is None:
            return Bearer.NOT_CONFIGURED
        scheme, _, given = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            return Bearer.MISSING
        try:
            expected = await self._content(path)
        except OSError:  # TimeoutError is one
            return Bearer.UNREADABLE
        return Bearer.RIGHT if expected and Sensitive(given.strip()) == expected else Bearer.WRONG

    async def unreadable_reason(self) -> str | None:
        """Return why the configured token cannot be read; None if it can, or if none is configured."""
        path = self.path()
        if path is None:
            return None
        try:
            await self._content(path)
        except TimeoutError:
            return f"token file {path} cannot be read: its file system does not answer"
        except OSError as error:
            return str(error)
        return None

    async def _content(self, path: Path) -> Sensitive:
        # Join a read that is in progress. `shield` keeps it running for the others when one caller times out.
        if self._reading is None or self._reading[0] != path or self._reading[1].done():
            self._reading = path, asyncio.create_task(asyncio.to_thread(self.read, path))
        async with asyncio.timeout(self.patience_s):
            return await asyncio.shield(self._reading[1])
