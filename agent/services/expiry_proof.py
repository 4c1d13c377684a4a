"""Proves that a login has expired. Without a proof it is not removed, because the wall clock may be wrong."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from agent.model.registry import Registry
from agent.services.ports import ConfirmedTime


class ExpiryProof:
    """Asks the registry of a login for the time, without a password, if only the wall clock shows that it has ended.

    After a restart, a successful attempt confirms the time too. If the source of the token fails, there is none.
    """

    def __init__(
        self, time: ConfirmedTime, confirm: Callable[[Registry], Awaitable[object]], max_wait_s: Callable[[], float]
    ) -> None:
        self._time: Final = time
        self._confirm: Final = confirm
        self._max_wait_s: Final = max_wait_s
        self._asked: Final[dict[str, float]] = {}

    def is_missing(self, registry: Registry, end: datetime | None) -> bool:
        """Whether the login seems to have ended, and it is time to ask."""
        now, asked = self._time.now(), self._asked.get(registry.hostname)
        if end is None or now.wall < end or now.proves(end):
            return False
        return asked is None or now.monotonic - asked >= self._max_wait_s()

    async def find(self, registry: Registry, end: datetime | None) -> None:
        """Ask the registry, if the proof is missing."""
        if self.is_missing(registry, end):
            self._asked[registry.hostname] = self._time.now().monotonic
            await self._confirm(registry)
