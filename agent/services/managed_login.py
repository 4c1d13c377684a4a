"""A stored login: what the reconciler knows about it, and when to check it again."""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.model.desired_login import CONFIG_FILE, MEMORY, DesiredLogin, StoreResult
from agent.model.docker_config import Entry
from agent.model.ecr_token import token_end
from agent.model.problem import Problem
from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import LoginRestored

# A helper's store cannot be watched, so it is polled. Each check starts a program.
_HELPER_CHECK_S: Final = 4.0
_HELPER_SHARE: Final = 0.01
"""The largest share of one processor that these checks may use. Slow helpers are asked less often."""
_WATCHED: Final = (CONFIG_FILE, MEMORY)
"""Stores whose changes are seen in `config.json`. Others are polled."""
_FAILED_CHECK_S: Final = 30.0
_WRITTEN_CHECK_S: Final = 2.0
"""Checks again after a write: a login that is removed again before that leaves a file that looks unchanged."""


@dataclass(slots=True)
class ManagedLogin:
    """A login that the reconciler keeps in place.

    `checked_files` is the signature of the watched files at the last check. `check_s` is how long that check took,
    `next_check` the monotonic time of the next one. `lost` is why docker finds no login at all. `other_ends_at` is when
    a person's own ECR login, which docker uses instead, ends. `refused` is a person's login that docker uses but the
    registry refuses. `restored` is what the agent restored, `restored_until` is when the notice about it clears.
    """

    desired: DesiredLogin
    stored_in: str = CONFIG_FILE
    ours: bool = False
    failed: bool = False
    lost: Problem | None = None
    wrote: bool = False
    check_s: float = 0.0
    next_check: float = 0.0
    checked_files: Hashable = None
    checking: bool = False
    findings: tuple[Problem, ...] = ()
    other_ends_at: datetime | None = None
    refused: Entry | None = None
    restored: str = ""
    restored_until: datetime | None = None
    reported: tuple[tuple[str, str], ...] = ()

    @property
    def hostname(self) -> str:
        return self.desired.registry.hostname

    @property
    def place(self) -> str:
        """Where in Docker's configuration it is, in the words of a message."""
        return f"credHelpers in {CONFIG_FILE}" if self.stored_in == MEMORY else self.stored_in

    @property
    def problems(self) -> tuple[Problem, ...]:
        problems = list(self.findings)
        if self.refused is not None:
            message = f"{self.hostname} refuses the login that docker uses, which the agent did not store"
            hint = "run `registry-agent renew HOST` to use the injected secret instead"
            problems.append(LoginRejected(self.hostname, message, hint=hint))
        if self.restored_until is not None:
            problems.append(LoginRestored(self.hostname, self.restored))
        return tuple(problems)

    def take(self, stored: StoreResult, overrides: Iterable[Problem]) -> None:
        """Take over what has become of the login in the store."""
        self.stored_in, self.ours, self.failed, self.wrote = stored.stored_in, stored.ours, False, stored.wrote
        failures = [stored.failure.about(self.hostname)] if stored.failure else []
        self.findings = (*failures, *overrides)
        self.other_ends_at = None if stored.ours else token_end(stored.login)
        if stored.ours or (self.refused is not None and not self.refused.same_login(stored.login)):
            self.refused = None

    @property
    def idle(self) -> bool:
        """Whether only a changed file can cause the next check."""
        waits = self.next_check == math.inf and self.restored_until is None and self.other_ends_at is None
        return waits and not self.checking


def next_check_s(login: ManagedLogin, logins: Iterable[ManagedLogin]) -> float:
    """Seconds until `login`, one of `logins`, is checked again although no file changed."""
    if login.failed:
        return _FAILED_CHECK_S
    if login.stored_in in _WATCHED:
        return _WRITTEN_CHECK_S if login.wrote else math.inf
    others = (other for other in logins if other.stored_in not in _WATCHED and not other.failed)
    return max(_HELPER_CHECK_S, sum(other.check_s for other in others) / _HELPER_SHARE)
