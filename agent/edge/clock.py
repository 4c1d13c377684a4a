"""The wall clock, which AWS's times refer to, and the monotonic clock."""

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The source of time for the services. Tests use a fake one."""

    def now(self) -> datetime:
        """Return the time of the wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds. Like asyncio's own clock, it stops while the machine is suspended."""
        return time.monotonic()

    def boot_time(self) -> float:
        """Return seconds that continue while the machine is suspended. Nobody can set them, unlike the wall clock."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def wait(self, event: asyncio.Event, timeout: float) -> bool:
        """Return True once `event` is set, or False after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            return False
        return True
