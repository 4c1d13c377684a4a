"""The clocks: the wall's, which AWS's times are told by, and the one that only goes forward."""

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """What the services know of time; tests hand in another."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds; stands still while the machine is suspended, as asyncio's own clock does."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, timeout: float) -> bool:
        """True once `event` is set, False after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            return False
        return True
