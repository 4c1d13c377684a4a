"""A stored login: what the reconciler knows about it, and when to check it again."""

import contextlib
import math
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from agent.model.deadline import Deadline
from agent.model.desired_login import CONFIG_FILE, MEMORY, DesiredLogin, StoreResult
from agent.model.docker_config import Entry
from agent.model.ecr_token import token_end
from agent.model.problem import Problem, ProblemError
from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import InternalError, LoginRestored
from agent.model.registry import Registry
from agent.model.stored_state import StoreNews
from agent.services.other_logins import OtherLogin

# A helper's store cannot be watched, so it is polled. Each check starts a program.
_HELPER_CHECK_S: Final = 3.0
_HELPER_SHARE: Final = 0.01
"""The largest share of one processor that these checks may use. Slow helpers are asked less often."""
_QUICK_S: Final = 0.15
"""Checks that take no longer than this together are no burden: a login that they miss must be restored within 5 s."""
_RAREST_CHECK_S: Final = 30.0
"""For each login in a helper. A single check on a busy machine must not make all later ones rare."""
POLL_S: Final = 2.0
_WATCHED: Final = (CONFIG_FILE, MEMORY)
"""Stores whose changes are seen in `config.json`. Others are polled."""
FAILED_CHECK_S: Final = 30.0
_WRITTEN_CHECK_S: Final = 2.0
"""Checks again after a write: a login that is removed again before that leaves a file that looks unchanged."""


@dataclass(slots=True)
class ManagedLogin:
    """A login that the reconciler keeps in place.

    `checked_files` is the signature of the watched files at the last check. `check_s` is how long that check took,
    `next_check` the monotonic time of the next one. `lost` is why docker finds no login at all. `unstored` is the
    failure that the last attempt reported, until the login is stored. `foreign`: docker uses a login that the agent did
    not store. If that is an ECR login, `other_ends_at` is its end. `refused` is a person's login that docker uses but
    the registry refuses, `from_variable` whether it is in DOCKER_AUTH_CONFIG. `reported` is what the login's task knows
    of this. `restored` is what the agent restored, `restored_until` is when the notice about it clears.
    """

    desired: DesiredLogin
    stored_in: str = CONFIG_FILE
    ours: bool = False
    failed: bool = False
    lost: Problem | None = None
    unstored: Problem | None = None
    wrote: bool = False
    check_s: float = 0.0
    next_check: float = 0.0
    checked_files: Hashable = None
    checking: bool = False
    findings: tuple[Problem, ...] = ()
    other_ends_at: datetime | None = None
    refused: Entry | None = None
    from_variable: bool = False
    foreign: bool = False
    reported: StoreNews = field(default_factory=StoreNews)
    restored: str = ""
    restored_until: Deadline | None = None

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
        if (refusal := self._refusal()) is not None:
            problems.append(refusal)
        if self.restored_until is not None:
            problems.append(LoginRestored(self.hostname, self.restored))
        return tuple(problems)

    def take(self, stored: StoreResult, overrides: Iterable[Problem]) -> None:
        """Take over what has become of the login in the store."""
        self.stored_in, self.ours, self.wrote = stored.stored_in, stored.ours, stored.wrote
        self.failed, self.foreign = stored.unsettled, not stored.ours and not stored.older
        failure = stored.failure.about(self.hostname) if stored.failure else None
        self.unstored = None if failure is None or stored.ours else self.unstored or failure
        self.findings = (*([failure] if failure else ()), *overrides)

    def note_found(self, found: Entry | None, *, ours: bool) -> None:
        """Docker finds this login, or none. The agent stores none: its own has expired. `ours` also if there is none.

        What an earlier check has failed with is over, and the end of another login is no reason to check again.
        """
        if self.failed or ours:
            self.findings, self.lost = (), None
        self.foreign, self.failed, self.wrote, self.other_ends_at = not ours, False, False, None
        if self.refused is not None and not self.refused.same_login(found):
            self.refused = None

    def crashed(self, error: Exception) -> None:
        """The check of this login has a bug."""
        self.failed, self.findings = True, (InternalError.of(error, self.hostname),)

    @property
    def news(self) -> StoreNews:
        """What the login's task has to know."""
        return StoreNews(self.unusable, self.unstored, self.foreign)

    @property
    def unusable(self) -> Problem | None:
        """Why Docker's next pull uses no login that works."""
        return self.lost or self._refusal()

    def inherit(self, former: "ManagedLogin") -> None:
        """Take over what stays true when a new login takes the place of the former one."""
        self.refused, self.reported = former.refused, former.reported
        self.restored, self.restored_until = former.restored, former.restored_until

    def note_other(self, other: OtherLogin, failure: Problem | None, *, from_variable: bool) -> None:
        """Remember the login that docker uses instead. `failure` is why the helper that has it did not store ours."""
        self.foreign = self.foreign or (from_variable and other.entry is not None)
        dead = other.works is False
        self.other_ends_at, self.from_variable = None if dead else token_end(other.entry), from_variable
        self.lost = failure if dead else None
        if dead and failure is None:
            self.refused = other.entry
        elif other.works or (self.refused is not None and not self.refused.same_login(other.entry)):
            self.refused = None

    def _refusal(self) -> Problem | None:
        if self.refused is None:
            return None
        message = f"{self.hostname} refuses the login that docker uses, which the agent did not store"
        hint = "run `registry-agent renew HOST` to use the injected secret instead"
        if self.from_variable:
            message = f"{self.hostname} refuses the login in the variable DOCKER_AUTH_CONFIG, which docker uses first"
            hint = "unset DOCKER_AUTH_CONFIG, or remove HOST from it, then restart the agent"
        return LoginRejected(self.hostname, message, hint=hint)

    def rest_s(self, now: float) -> float:
        """For how many seconds only a changed file can cause the next check. That is not known while one runs."""
        polled = self.checking or self.restored_until is not None or self.other_ends_at is not None
        return min(POLL_S if polled else math.inf, self.next_check - now)


@contextlib.contextmanager
def about(registry: Registry) -> Iterator[None]:
    """Problems of the store name the file or Docker's key. On the board, the subject is the registry."""
    try:
        yield
    except ProblemError as error:
        raise ProblemError(error.problem.about(registry.hostname)) from None


def next_check_s(login: ManagedLogin, logins: Iterable[ManagedLogin]) -> float:
    """Seconds until `login`, one of `logins`, is checked again although no file changed."""
    if login.failed:
        return FAILED_CHECK_S
    if login.stored_in in _WATCHED:
        return _WRITTEN_CHECK_S if login.wrote else math.inf
    others = [other.check_s for other in logins if other.stored_in not in _WATCHED and not other.failed]
    rest_s = (sum(others) - _QUICK_S) / _HELPER_SHARE
    return min(max(_HELPER_CHECK_S, rest_s), _RAREST_CHECK_S * len(others))
