"""Checks the token for TCP. The file is read again for each request, and the comparison takes constant time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agent.model.sensitive import Sensitive


class Bearer(Enum):
    """The result of checking a request's `Authorization` header."""

    NOT_CONFIGURED = "not configured"
    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"
    UNREADABLE = "unreadable"


@dataclass(eq=False)
class TokenFile:
    """Reads the configured token with `read`, which raises OSError with the reason if that is not possible."""

    path: Callable[[], Path | None]
    read: Callable[[Path], Awaitable[Sensitive]]

    async def check(self, authorization: str | None) -> Bearer:
        """Compare the header's value with the token that is in the file now."""
        path = self.path()
        if path is None:
            return Bearer.NOT_CONFIGURED
        scheme, _, given = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            return Bearer.MISSING
        try:
            expected = await self.read(path)
        except OSError:
            return Bearer.UNREADABLE
        return Bearer.RIGHT if expected and Sensitive(given.strip()) == expected else Bearer.WRONG

    async def unreadable_reason(self) -> str | None:
        """Return why the configured token cannot be read; None if it can, or if none is configured."""
        path = self.path()
        if path is None:
            return None
        try:
            await self.read(path)
        except OSError as error:
            return str(error)
        return None
