"""A stored login: what the reconciler knows of it, and when to check it again."""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.model.problem import Problem
from agent.services.credential_store import CONFIG_FILE, DesiredLogin

# A helper's store cannot be watched, and each look starts a program; what failed is looked at sooner.
_HELPER_CHECK_S: Final = 4.0
_HELPER_SHARE: Final = 0.01
"""The most of one processor that looking into helpers' stores may cost: one that is slow is asked less often."""
_FAILED_CHECK_S: Final = 30.0
_WRITTEN_CHECK_S: Final = 2.0
"""Whoever dropped a login may do it again before the file is seen: gone twice, it looks as if nothing had changed."""


@dataclass(frozen=True, slots=True)
class AppliedLogin:
    """Where a login is now. Not `ours`: another one is there, and stays. `problems` are on the board already."""

    stored_in: str
    problems: tuple[Problem, ...]
    ours: bool


@dataclass(slots=True)
class ManagedLogin:
    """A login in care, and what was last seen of it."""

    desired: DesiredLogin
    stored_in: str = CONFIG_FILE
    ours: bool = False
    failed: bool = False
    wrote: bool = False
    check_s: float = 0.0
    next_check: float = 0.0
    seen: Hashable = None
    checking: bool = False
    findings: tuple[Problem, ...] = ()
    restored_until: datetime | None = None
    reported: tuple[tuple[str, str], ...] = ()

    @property
    def hostname(self) -> str:
        return self.desired.registry.hostname

    @property
    def idle(self) -> bool:
        """Only a changed file brings the next look."""
        return not self.checking and self.next_check == math.inf and self.restored_until is None


def next_check_s(login: ManagedLogin, logins: Iterable[ManagedLogin]) -> float:
    """Seconds until `charge`, one of `everyone`, is looked at again although no file changed."""
    if login.failed:
        return _FAILED_CHECK_S
    if login.stored_in == CONFIG_FILE:
        return _WRITTEN_CHECK_S if login.wrote else math.inf
    others = (other for other in logins if other.stored_in != CONFIG_FILE and not other.failed)
    return max(_HELPER_CHECK_S, sum(other.check_s for other in others) / _HELPER_SHARE)
