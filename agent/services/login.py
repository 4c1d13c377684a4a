"""One registry's login: credential, `docker login`, Docker's configuration, report, wait, and again."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from agent.model.credential import AwsIdentity, Credential
from agent.model.deadline import Deadline
from agent.model.plan import Login
from agent.model.problem import Pace, Problem, Severity
from agent.model.problems import DockerCliMissing, EcrTokenExpired, InternalError
from agent.model.renewal import expired
from agent.model.status import State
from agent.services.login_row import LoginRow
from agent.services.retries import retrying
from agent.services.sign_in import SignedIn
from agent.services.standing import Standing
from agent.services.surroundings import Kept, Surroundings
from agent.services.waiting import wait_until


class RegistryLogin:
    """Keeps one registry logged in for as long as `run` goes on. A changed secret gets another one.

    Args:
        login: what to log in to, and with what.
        parts: what it works with.
        ends_at: when the login that Docker holds already ends, if it is ours and does.
        on_first_outcome: hears once that it was attempted or skipped.
    """

    def __init__(
        self,
        login: Login,
        parts: Surroundings,
        *,
        ends_at: datetime | None,
        on_first_outcome: Callable[[], None],
    ) -> None:
        self.login: Final = login
        self._with: Final = parts
        self.row: Final = LoginRow(login, parts.clock.now(), parts.board, on_first_outcome)
        self._standing: Final = Standing(
            login.registry,
            self.row,
            custody=parts.custody,
            clock=parts.clock,
            log=parts.log,
            settings=parts.settings,
        )
        self._standing.begin(ends_at)
        self.row.show(expires_at=ends_at)
        self._wake: Final = asyncio.Event()
        self._id = parts.new_id()
        self._asked: str | None = None
        self._take_over = False
        self._force = True
        self._credential: Credential | None = None
        self._unsaid: Problem | None = None
        self._due: Deadline | None = None
        self._clock_is_off = False

    def ask(self) -> str:
        """Have it log in at once, over a person's own entry too; the id of the attempt that this brings."""
        self._asked = self._asked or self._with.new_id()
        self._wake.set()
        return self._asked

    def wake(self) -> None:
        """Have it look again at its clock and at its tools."""
        self._wake.set()

    async def run(self) -> None:
        wait_s = await self.held_back()
        if wait_s is not None:
            await self._sleep(wait_s)
        while True:
            self._id = self._with.new_id()
            async for attempt in retrying(lambda: self._with.settings().retry, self._sleep):
                with attempt:
                    await self._await_docker()
                    await self.attempt()
            await self._until_due()

    async def attempt(self) -> None:
        """One attempt, reported.

        Raises:
            Problem: it failed.
        """
        self._begin()
        try:
            await self._attempt(self._with.clock.monotonic())
        except Problem as problem:
            await self._failed(problem)
            raise
        except Exception as error:
            self._with.log.exception("login.crashed", **self.row.names)
            fault = InternalError(self.row.now.hostname, f"a fault of the agent itself: {type(error).__name__}")
            await self._failed(fault)
            raise fault from error
        finally:
            self.row.show(attempting=False)
            self.row.first_outcome()

    def skip(self, reason: str) -> None:
        """Show that the registry is left alone for now; who asked for an attempt learns so too."""
        if self.row.now.state is not State.SKIPPED:
            self._with.log.info("login.skipped", **self.row.names, reason=reason)
        attempt_id, self._asked = self._asked or self._id, None
        self.row.show(state=State.SKIPPED, last_error=reason, attempt_id=attempt_id, next_attempt_at=None)
        self.row.first_outcome()

    def say_failure(self, wait_s: float | None) -> None:
        """Log the last failure, once, with the seconds until the next attempt; None: there is none."""
        problem, self._unsaid = self._unsaid, None
        if problem is not None:
            self._with.log.info(
                "login.failed",
                **self.row.names,
                code=problem.code,
                message=problem.message,
                failures=self.row.now.consecutive_failures,
                wait_s=None if wait_s is None else round(wait_s, 1),
            )

    async def _attempt(self, started: float) -> None:
        login = self.login
        due = self._due is not None and self._left(self._due) <= 0
        credential = await self._obtain(self._credential if due or self._force else None, force=self._force)
        try:
            signed = await self._with.sign_in.sign_in(login, credential)
        except EcrTokenExpired:
            if not isinstance(login.source, AwsIdentity):
                raise
            credential = await self._obtain(credential, force=True)
            signed = await self._with.sign_in.sign_in(login, credential)
        kept = await self._with.custody.keep(
            login.registry, signed.entry, expires_at=credential.expires_at, take_over=self._take_over
        )
        for problem in kept.problems:
            if problem.severity is Severity.ERROR:
                raise problem
        self._succeeded(credential, signed, kept, self._with.clock.monotonic() - started)

    async def _obtain(self, stale: Credential | None, *, force: bool) -> Credential:
        """The password at hand, or a token: another than `stale` if that is given."""
        source = self.login.source
        if isinstance(source, Credential):
            return source
        return await self._with.credentials.credential(source, self.row.now.hostname, stale=stale, force=force)

    async def _await_docker(self) -> None:
        """Wait for the CLI; a registry without a valid login is skipped meanwhile."""
        await self._with.docker.looked.wait()
        while not self._with.docker.docker_present.is_set() and not self._standing.valid:
            self.skip("there is no docker on PATH")
            await self._wake.wait()
            self._wake.clear()

    def _begin(self) -> None:
        row = self.row.now
        if self._asked is not None:
            self._id = self._asked
            self._take_over = True
        # A person's word and a secret's first use go past the waits that earlier failures brought.
        self._force = self._asked is not None or row.attempts == 0
        self._asked = None
        self._wake.clear()
        state = State.PENDING if row.state is State.SKIPPED else row.state
        # The id comes together with `attempting`: who asked for it must not take the last outcome for its own.
        self.row.show(
            attempt_id=self._id, attempting=True, attempts=row.attempts + 1, next_attempt_at=None, state=state
        )
        self._with.log.debug("login.started", **self.row.names, attempt=row.attempts + 1)

    def _succeeded(self, credential: Credential, signed: SignedIn, kept: Kept, seconds: float) -> None:
        self._credential = credential
        self._due = self._due_of(credential)
        self._take_over = False
        self._standing.begin(credential.expires_at)
        self._with.refusals.accepted(self.login)
        self._clock_is_off = bool(signed.problems)
        self.row.report(*signed.problems, state=State.LOGGED_IN)
        self.row.show(
            logged_in_at=self._with.clock.now(),
            expires_at=credential.expires_at,
            renew_at=credential.renew_at,
            identity=credential.identity,
            consecutive_failures=0,
            last_error=None,
        )
        times = {"expires_at": credential.expires_at, "renew_at": credential.renew_at, "seconds": round(seconds, 3)}
        self._with.log.info("login.succeeded", **self.row.names, stored_in=kept.stored_in, **times)

    async def _failed(self, problem: Problem) -> None:
        failures = self.row.now.consecutive_failures + 1
        self.row.show(consecutive_failures=failures, last_error=problem.message)
        if problem.pace is Pace.REJECTED:
            wait = timedelta(seconds=self._with.settings().retry.rejected_wait_s)
            self._with.refusals.refused(self.login, problem, self._with.clock.now() + wait)
        await self._standing.fail(problem)
        self._unsaid = problem

    async def held_back(self) -> float | None:
        """Show a refusal of this very secret from before a restart, and say for how many seconds it still holds."""
        held = self._with.refusals.held_back(self.login)
        if held is None:
            return None
        problem, not_before = held
        self.row.show(last_error=problem.message)
        await self._standing.fail(problem)
        self._with.log.info("login.held_back", **self.row.names, code=problem.code, not_before=not_before)
        self.row.first_outcome()
        longest = self._with.settings().retry.rejected_wait_s
        return min((not_before - self._with.clock.now()).total_seconds(), longest)

    async def _sleep(self, seconds: float) -> None:
        """Wait before the next attempt, and see to it that an expiry meanwhile is noticed when it comes."""
        self.say_failure(seconds)
        clock = self._with.clock
        retry = Deadline.after(timedelta(seconds=seconds), clock.now(), clock.monotonic())
        self.row.show(next_attempt_at=retry.at)
        while self._left(retry) > 0 and not self._may_go_on:
            event = self._standing.next_event()
            sooner = event if event is not None and self._left(event) < self._left(retry) else retry
            if await wait_until(clock, sooner, self._wake):
                self._wake.clear()
            elif sooner is event:
                await self._standing.settle()

    @property
    def _may_go_on(self) -> bool:
        """Whether what the wait was for has come sooner: somebody asks, or docker is there."""
        without_docker = isinstance(self._standing.cause, DockerCliMissing)
        return self._asked is not None or (without_docker and self._with.docker.docker_present.is_set())

    async def _until_due(self) -> None:
        """Wait until the token is due, somebody asks, or what is amiss although the login works wants another look."""
        clock = self._with.clock
        until = self._due
        look_s = self._next_look_s()
        if look_s is not None:
            again = Deadline.after(timedelta(seconds=look_s), clock.now(), clock.monotonic())
            until = again if until is None or self._left(again) < self._left(until) else until
        while self._asked is None:
            if until is None:
                await self._wake.wait()
            elif not await wait_until(clock, until, self._wake):
                return
            self._wake.clear()
            if self._clock_is_off:
                return  # perhaps it was set right just now

    def _next_look_s(self) -> float | None:
        """Seconds to the next look where the clock is off, or a token that cannot be renewed works past its end."""
        held, retry = self._credential, self._with.settings().retry
        if held is None or held.renew_at is not None or held.expires_at is None:
            return retry.max_wait_s if self._clock_is_off else None
        # The registry's clock may be a little behind ours: soon after the end the looks are close.
        past_s = (self._with.clock.now() - held.expires_at).total_seconds()
        if past_s >= 0:
            return min(max(past_s, retry.first_wait_s), retry.max_wait_s)
        return retry.max_wait_s if self._clock_is_off else None

    def _due_of(self, credential: Credential) -> Deadline | None:
        """When to log in anew; a token that cannot be renewed is looked at when it ends, unless it ended already."""
        clock = self._with.clock
        at = credential.renew_at
        if at is None and not expired(credential.expires_at, clock.now()):
            at = credential.expires_at
        return Deadline.when(at, clock.now(), clock.monotonic()) if at else None

    def _left(self, deadline: Deadline) -> float:
        return deadline.left(self._with.clock.now(), self._with.clock.monotonic())
