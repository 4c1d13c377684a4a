"""When a login is tried again: its retry, its renewal, another look, or a person's word, whichever comes first."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from agent.model.credential import Credential
from agent.model.deadline import Deadline
from agent.model.problems.environment import DockerCliMissing, NotDockersCli
from agent.model.renewal import expired
from agent.services.login_dependencies import LoginDependencies
from agent.services.login_reporter import LoginReporter
from agent.services.login_state import LoginState
from agent.services.waiting import wait_until


class AttemptSchedule:
    """Waits for one registry's login, and sees to it that an expiry meanwhile is noticed when it comes."""

    def __init__(
        self,
        reporter: LoginReporter,
        state: LoginState,
        dependencies: LoginDependencies,
        may_work: Callable[[], bool] = lambda: False,
        requested_id: str | None = None,
    ) -> None:
        """`may_work`: whether what failed may work now, for a reason that lies elsewhere; `asked` as by `ask`."""
        self._reporter: Final = reporter
        self._state: Final = state
        self._deps: Final = dependencies
        self._wake: Final = asyncio.Event()
        self._may_work: Final = may_work
        self._requested_id = requested_id
        self._held: Credential | None = None
        self._due: Deadline | None = None
        self._clock_is_off = False

    def request_now(self) -> str:
        """Have it come at once; the id that it is to have."""
        self._requested_id = self._requested_id or self._deps.new_id()
        self._wake.set()
        return self._requested_id

    @property
    def requested_id(self) -> str | None:
        """The id that somebody was promised, while the attempt has not begun."""
        return self._requested_id

    def take_request(self) -> str | None:
        """The id that somebody was promised, once; it has come."""
        asked, self._requested_id = self._requested_id, None
        self._wake.clear()
        return asked

    def wake(self) -> None:
        """Look at clock and tools again."""
        self._wake.set()

    async def wait_for_wake(self) -> None:
        await self._wake.wait()
        self._wake.clear()

    @property
    def renewal_is_due(self) -> bool:
        return self._due is not None and self._left(self._due) <= 0

    def after_success(self, credential: Credential, *, clock_is_off: bool) -> None:
        """It works with this credential; a clock that is off is looked at again although it does."""
        self._held, self._clock_is_off = credential, clock_is_off
        self._due = self._due_of(credential)

    async def after_failure(self, seconds: float) -> None:
        """Wait before the next attempt, but tell the standing when an expiry makes the failure more serious."""
        clock = self._deps.clock
        retry = Deadline.after(timedelta(seconds=seconds), clock.now(), clock.monotonic())
        self._reporter.update(next_attempt_at=retry.at)
        while self._left(retry) > 0 and not self._may_retry_now:
            event = self._state.next_event()
            sooner = event if event is not None and self._left(event) < self._left(retry) else retry
            if await wait_until(clock, sooner, self._wake):
                self._wake.clear()
            elif sooner is event:
                await self._state.refresh()

    async def when_due(self) -> None:
        """Wait until the token is due, somebody asks, or what is amiss although the login works wants another look."""
        clock = self._deps.clock
        until = self._due
        look_s = self._next_check_s()
        if look_s is not None:
            again = Deadline.after(timedelta(seconds=look_s), clock.now(), clock.monotonic())
            until = again if until is None or self._left(again) < self._left(until) else until
        while self._requested_id is None:
            if until is None:
                await self._wake.wait()
            elif not await wait_until(clock, until, self._wake):
                return
            self._wake.clear()
            if self._clock_is_off:
                return  # perhaps it was set right just now

    @property
    def _may_retry_now(self) -> bool:
        """Whether what the wait was for has come sooner: somebody asks, docker is there, or AWS gives tokens again."""
        without_docker = isinstance(self._state.cause, DockerCliMissing | NotDockersCli)
        docker_is_back = without_docker and self._deps.docker.docker_ready.is_set()
        return self._requested_id is not None or docker_is_back or self._may_work()

    def _next_check_s(self) -> float | None:
        """Seconds to the next look where the clock is off, or a token that cannot be renewed works past its end."""
        held, retry = self._held, self._deps.settings().retry
        if held is None or held.renew_at is not None or held.expires_at is None:
            return retry.max_wait_s if self._clock_is_off else None
        # The registry's clock may be a little behind ours: soon after the end the looks are close.
        past_s = (self._deps.clock.now() - held.expires_at).total_seconds()
        if past_s >= 0:
            return min(max(past_s, retry.first_wait_s), retry.max_wait_s)
        return retry.max_wait_s if self._clock_is_off else None

    def _due_of(self, credential: Credential) -> Deadline | None:
        """When to log in anew; a token that cannot be renewed is looked at when it ends, unless it ended already."""
        clock = self._deps.clock
        at = credential.renew_at
        if at is None and not expired(credential.expires_at, clock.now()):
            at = credential.expires_at
        return Deadline.when(at, clock.now(), clock.monotonic()) if at else None

    def _left(self, deadline: Deadline) -> float:
        return deadline.left(self._deps.clock.now(), self._deps.clock.monotonic())
