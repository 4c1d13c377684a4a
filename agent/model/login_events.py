"""What is remembered about a login, what happens to it (events), and what it does (actions). Used by `login_state`."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from agent.model.deadline import Deadline
from agent.model.problem import Problem
from agent.model.status import State
from agent.model.stored_state import StoredLogin


class Now(NamedTuple):
    """One moment on both clocks; `monotonic` in seconds.

    `proven` is the time that it is at least: what a server confirmed, plus the time that has passed since. None if no
    server has answered since the start. `clock_is_off`: the server that answered last contradicts the wall clock.
    """

    wall: datetime
    monotonic: float
    proven: datetime | None = None
    clock_is_off: bool = False

    def after(self, wait: timedelta) -> Deadline:
        return Deadline.after(wait, self.wall, self.monotonic)

    def until(self, deadline: Deadline) -> float:
        """Seconds until a deadline, on both clocks."""
        return deadline.left(self.wall, self.monotonic)

    def proves(self, moment: datetime | None) -> bool:
        """Whether `moment` is certainly over, whatever the wall clock shows. None never is."""
        return moment is not None and self.proven is not None and self.proven >= moment

    def is_over(self, moment: datetime | None) -> bool:
        """Whether a login with this end has ended, as far as known. None never ends."""
        return moment is not None and self.left(Deadline.when(moment, self.wall, self.monotonic)) <= 0

    def left(self, end: Deadline) -> float:
        """Seconds until a login ends, as far as known. While the wall clock is wrong, only the proven time counts."""
        # The earlier of the two: a login that has ended must not count as valid because one clock is late.
        proven_s = math.inf if self.proven is None else (end.at - self.proven).total_seconds()
        return proven_s if self.clock_is_off else min(proven_s, end.left(self.wall, self.monotonic))


class Rules(NamedTuple):
    """The settings that the decisions depend on."""

    urgent_window: timedelta
    first_wait: timedelta
    max_wait: timedelta


class Stage(Enum):
    STARTING = "starting"
    DUE = "due"
    NO_DOCKER = "no docker"
    ATTEMPTING = "attempting"
    RETRYING = "retrying"
    LOGGED_IN = "logged in"


@dataclass(frozen=True, slots=True)
class LoginState:
    """Everything that is remembered about one login.

    `problem` is why the last attempt failed, `unstored` whether the newest login could not be stored. `unusable` is why
    Docker's next pull uses no login that works. `expiry` is when the agent's login expires, None if it does not or if
    there is none. `foreign`: Docker uses another login than this one. `removed`: it was taken out of Docker's
    configuration after that. `renewal` is when a new token is due, `reattempt` when an existing login is tried again.
    `check` is when to ask the registry about a login without an end.
    """

    hostname: str
    stage: Stage = Stage.STARTING
    status: State = State.PENDING
    attempt_id: str | None = None
    requested_id: str | None = None
    take_over: bool = False
    attempts: int = 0
    failures: int = 0
    problem: Problem | None = None
    last_error: str | None = None
    has_logged_in: bool = False
    unusable: Problem | None = None
    unstored: bool = False
    foreign: bool = False
    expiry: Deadline | None = None
    removed: bool = False
    retry: Deadline | None = None
    renewal: Deadline | None = None
    reattempt: Deadline | None = None
    check: Deadline | None = None
    clock_is_off: bool = False
    next_change: Deadline | None = None
    first_attempt_done: bool = False

    @property
    def end(self) -> Deadline | None:
        """When the login that Docker uses ends. None if it does not, or if it is not ours."""
        return None if self.foreign else self.expiry

    def is_valid(self, now: Now) -> bool:
        """Whether Docker holds a token of ours that has not ended."""
        return self.end is not None and not self.removed and now.left(self.end) > 0

    def holds_login(self, now: Now) -> bool:
        """Whether Docker holds a login of ours that works, with or without an end."""
        return (self.has_logged_in and self.end is None) or self.is_valid(now)

    def urgent_window(self, rules: Rules) -> timedelta:
        """How long before the end a failing renewal is an error: at most half of the time after the renewal is due.

        Otherwise the first failing renewal of an hourly token would be an error at once.
        """
        if self.end is None or self.renewal is None or self.renewal.at >= self.end.at:
            return rules.urgent_window
        return min(rules.urgent_window, (self.end.at - self.renewal.at) / 2)

    def change_ahead(self, now: Now, rules: Rules) -> Deadline | None:
        """When a failing renewal gets more serious: at the urgent window, then at the token's end.

        After that, or if no clock can be believed, when to look again.
        """
        if self.end is None or self.removed:
            return None
        left, window = now.left(self.end), self.urgent_window(rules).total_seconds()
        if left <= 0 or left == math.inf:
            unproven = (self.end.at - now.proven).total_seconds() if now.proven else math.inf
            left = min(unproven, rules.max_wait.total_seconds())
        elif left > window:
            left -= window
        return now.after(timedelta(seconds=left))


@dataclass(frozen=True, slots=True)
class Verified:
    """The agent has checked which login Docker holds.

    `rejection` is why this very secret was rejected before the agent restarted, and for how long that still holds.
    `unusable` and `held` are as in `Woken`.
    """

    holds_login: bool
    rejection: tuple[Problem, timedelta] | None = None
    unusable: Problem | None = None
    held: StoredLogin | None = None


@dataclass(frozen=True, slots=True)
class Woken:
    """The wake-up time was reached, or something changed.

    `new_id` is for the attempt that may start. `docker_problem` is why docker cannot be used, and `unusable` why
    Docker's next pull uses no login that works. `source_changed`: the source of the token works again, or may have
    another one. `needed`: a program needs a login now that works longer than the stored one. `gone`: Docker does not
    hold the login of an earlier start, as is known only now. `unstored`: the newest login is still not stored.
    `foreign`: Docker uses a login that the agent did not store. `held`: the agent's login that Docker holds, as far as
    known; it may be another one than that of the last attempt.
    """

    new_id: str
    docker_problem: str | None = None
    source_changed: bool = False
    unusable: Problem | None = None
    needed: bool = False
    gone: bool = False
    unstored: bool = False
    foreign: bool = False
    held: StoredLogin | None = None


@dataclass(frozen=True, slots=True)
class Requested:
    """A person wants an attempt now, under this ID."""

    attempt_id: str
    docker_problem: str | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Docker holds the login.

    `renew_at` is None if the agent cannot renew it. `identity` is the ARN of an AWS identity. `problems` are what is
    wrong although the login works, such as a clock that is off. `check_in` is when to ask the registry whether it still
    accepts the login; None if the login ends, or if it is never asked. `seconds` is how long the attempt took.
    `unusable` and `foreign` are as in `Woken`.
    """

    expires_at: datetime | None = None
    renew_at: datetime | None = None
    identity: str | None = None
    stored_in: str = ""
    problems: tuple[Problem, ...] = ()
    check_in: timedelta | None = None
    seconds: float = 0.0
    unusable: Problem | None = None
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """The registry did not refuse what Docker holds, or the setting for this has changed.

    `check_in` is when to ask again, None for never.

    `log_in_again`: it refused a token that it gave for the password. The password may still work.
    """

    check_in: timedelta | None
    log_in_again: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The registry refuses the login that Docker holds. The next attempt is in `retry_in`."""

    problem: Problem
    retry_in: timedelta


@dataclass(frozen=True, slots=True)
class Failed:
    """`retry_in` is None if there is no next attempt. `seconds` is as in `Succeeded`, the others as in `Woken`."""

    problem: Problem
    retry_in: timedelta | None
    seconds: float = 0.0
    unusable: Problem | None = None
    unstored: bool = False
    held: StoredLogin | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """The expired login was removed. `was_ours` is false if another login had replaced it before."""

    was_ours: bool


@dataclass(frozen=True, slots=True)
class RemovalFailed:
    problem: Problem


Event = Verified | Woken | Requested | Succeeded | Checked | Refused | Failed | Removed | RemovalFailed


@dataclass(frozen=True, slots=True)
class Attempt:
    """Log in.

    `renew`: with another token than the current one. `force`: without waiting for what failed earlier. `take_over`:
    replace a login that a person made.
    """

    renew: bool
    force: bool
    take_over: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Show these problems instead of all that were shown before."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Skip:
    reason: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the expired login out of Docker's configuration."""


@dataclass(frozen=True, slots=True)
class Check:
    """Ask the registry whether it still accepts the login that Docker holds."""


Action = Attempt | Report | Skip | Remove | Check
