"""Logins from before the agent's start whose store cannot be read, so that Docker may not hold them any more."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from agent.model.problem import Problem
from agent.services.managed_login import FAILED_CHECK_S
from agent.services.ports import Clock


@dataclass(slots=True)
class _Unread:
    """`lost` is why docker finds no login, None if it finds one. The rest is as in `ManagedLogin`."""

    lost: Problem | None
    checked_files: Hashable = None
    next_check: float = 0.0


class EarlierLogins:
    """Knows when to read their stores again."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._unread: Final[dict[str, _Unread]] = {}

    def __bool__(self) -> bool:
        return bool(self._unread)

    def note(self, hostname: str, lost: Problem | None) -> None:
        """The store cannot be read now."""
        self._unread.setdefault(hostname, _Unread(lost)).lost = lost

    def forget(self, hostname: str) -> None:
        self._unread.pop(hostname, None)

    def lost(self, hostname: str) -> Problem | None:
        unread = self._unread.get(hostname)
        return unread.lost if unread is not None else None

    def due(self, files: Hashable) -> list[str]:
        """The registries whose store is to be read again: `files` have changed, or the last time is a while ago."""
        now, found = self._clock.monotonic(), []
        for hostname, unread in self._unread.items():
            if files != unread.checked_files or now >= unread.next_check:
                unread.checked_files, unread.next_check = files, now + FAILED_CHECK_S
                found.append(hostname)
        return found
