"""Where a login stands while its renewal fails: still good, in its last hour, or dead and taken out."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from agent.model.deadline import Deadline
from agent.model.problem import Problem, ProblemError, RetryClass
from agent.model.problems.aws import ClockSkew
from agent.model.problems.stored_login import RenewalFailing, TokenExpired
from agent.model.registry import Registry
from agent.model.renewal import severity_of_failing
from agent.model.status import State
from agent.services.login_reporter import LoginReporter
from agent.services.waiting import Clock
from agent.settings import Settings


class Reconciler(Protocol):
    async def remove(self, registry: Registry) -> bool: ...


class Log(Protocol):
    def info(self, event: str, **fields: Any) -> None: ...


class LoginState:
    """Knows when the token in Docker's configuration ends, and sees to what follows.

    A valid login is never taken out because its renewal fails; a dead one is, since on a public registry a stale
    login is worse than none.
    """

    def __init__(
        self,
        registry: Registry,
        reporter: LoginReporter,
        *,
        reconciler: Reconciler,
        clock: Clock,
        log: Log,
        settings: Callable[[], Settings],
    ) -> None:
        self._registry: Final = registry
        self._reporter: Final = reporter
        self._reconciler: Final = reconciler
        self._clock: Final = clock
        self._log: Final = log
        self._settings: Final = settings
        self._expiry: Deadline | None = None
        self._dead = False
        self._taken_out = False
        self.cause: Problem | None = None

    @property
    def valid(self) -> bool:
        """Whether Docker holds a token of ours that has not ended."""
        return self._expiry is not None and self._left(self._trusted(self._expiry)) > 0

    def begin(self, expires_at: datetime | None) -> None:
        """Docker holds a login that ends then; None: one that does not end."""
        self._expiry = (
            Deadline.when(expires_at, self._clock.now(), self._clock.monotonic()) if expires_at is not None else None
        )
        self._dead = self._taken_out = False
        self.cause = None

    async def fail(self, cause: Problem) -> None:
        """Say what an attempt's failure means for the login that is there."""
        self.cause = cause
        await self.refresh()

    async def refresh(self) -> None:
        """Say where the login stands now."""
        if self.cause is None:
            return
        if self._expiry is not None and not self.valid:
            self._expiry, self._dead = None, True
        if self._dead:
            await self._expire(self.cause)
        elif self._expiry is not None:
            self._report_failing(self.cause, self._expiry.at)
        elif self.cause.retry_class is RetryClass.REJECTED:
            self._reporter.report(self.cause, state=State.REJECTED)
        else:
            works = self._reporter.status.logged_in_at is not None
            self._reporter.report(self.cause, state=State.LOGGED_IN if works else State.RETRYING)

    def _report_failing(self, cause: Problem, ends: datetime) -> None:
        hostname = self._registry.hostname
        window = timedelta(seconds=self._settings().renewal.urgent_window_s)
        failing = RenewalFailing(
            hostname,
            f"the login for {hostname} works until {ends:%Y-%m-%d %H:%M} UTC, but its renewal fails",
            severity=severity_of_failing(ends, self._clock.now(), window),
        )
        self._reporter.report(cause, failing, state=State.LOGGED_IN)

    def next_event(self) -> Deadline | None:
        """The next moment at which a failing renewal becomes more serious: the urgent window, then the end."""
        if self._expiry is None:
            return None
        window = self._settings().renewal.urgent_window_s
        urgent = Deadline(self._expiry.at - timedelta(seconds=window), self._expiry.monotonic - window)
        return self._trusted(urgent if self._left(self._trusted(urgent)) > 0 else self._expiry)

    def _trusted(self, deadline: Deadline) -> Deadline:
        """The same moment by the monotonic clock alone while the wall clock is known to be wrong.

        A clock that leapt ahead does not end a token.
        """
        if not isinstance(self.cause, ClockSkew):
            return deadline
        now, monotonic = self._clock.now(), self._clock.monotonic()
        return Deadline.after(timedelta(seconds=deadline.monotonic - monotonic), now, monotonic)

    async def _expire(self, cause: Problem) -> None:
        hostname = self._registry.hostname
        message = f"the login for {hostname} has expired and could not be renewed"
        self._reporter.report(cause, TokenExpired(hostname, message), state=State.EXPIRED)
        if self._taken_out:
            return
        try:
            released = await self._reconciler.remove(self._registry)
        except ProblemError as error:
            problem = error.problem
            self._reporter.report(cause, TokenExpired(hostname, message), problem, state=State.EXPIRED)
            return
        self._taken_out = True
        self._log.info("login.expired", **self._reporter.log_fields, taken_out=released)

    def _left(self, deadline: Deadline) -> float:
        return deadline.left(self._clock.now(), self._clock.monotonic())
