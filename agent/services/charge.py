"""A login in custody: what is remembered of it, and when it is looked at again."""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.model.problem import Problem
from agent.services.placement import CONFIG_FILE, Order

# A helper's store cannot be watched, and each look starts a program; what failed is looked at sooner.
_HELPER_LOOK_S: Final = 4.0
_HELPER_SHARE: Final = 0.01
"""The most of one processor that looking into helpers' stores may cost: one that is slow is asked less often."""
_FAILED_LOOK_S: Final = 30.0
_WRITTEN_LOOK_S: Final = 2.0
"""Whoever dropped a login may do it again before the file is seen: gone twice, it looks as if nothing had changed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a login is now. Not `ours`: another one is there, and stays. `problems` are on the board already."""

    stored_in: str
    problems: tuple[Problem, ...]
    ours: bool


@dataclass(slots=True)
class Charge:
    """A login in care, and what was last seen of it."""

    order: Order
    stored_in: str = CONFIG_FILE
    ours: bool = False
    failed: bool = False
    wrote: bool = False
    look_s: float = 0.0
    next_look: float = 0.0
    seen: Hashable = None
    checking: bool = False
    findings: tuple[Problem, ...] = ()
    restored_until: datetime | None = None
    shown: tuple[tuple[str, str], ...] = ()

    @property
    def hostname(self) -> str:
        return self.order.registry.hostname

    @property
    def rests(self) -> bool:
        """Only a changed file brings the next look."""
        return not self.checking and self.next_look == math.inf and self.restored_until is None


def pause_s(charge: Charge, everyone: Iterable[Charge]) -> float:
    """Seconds until `charge`, one of `everyone`, is looked at again although no file changed."""
    if charge.failed:
        return _FAILED_LOOK_S
    if charge.stored_in == CONFIG_FILE:
        return _WRITTEN_LOOK_S if charge.wrote else math.inf
    others = (other for other in everyone if other.stored_in != CONFIG_FILE and not other.failed)
    return max(_HELPER_LOOK_S, sum(other.look_s for other in others) / _HELPER_SHARE)
