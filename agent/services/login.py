"""One registry's login: credential, `docker login`, Docker's configuration, report, wait, and again."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from agent.model.credential import AwsIdentity, Credential
from agent.model.plan import Login
from agent.model.problem import Pace, Problem, Severity
from agent.model.problems.keeping import InternalError
from agent.model.problems.registry import EcrTokenExpired
from agent.model.status import State
from agent.services.login_row import LoginRow
from agent.services.next_attempt import NextAttempt
from agent.services.retries import LONGEST_ASKED, retrying
from agent.services.sign_in import SignedIn
from agent.services.standing import Standing
from agent.services.surroundings import Kept, Surroundings


class RegistryLogin:
    """Keeps one registry logged in for as long as `run` goes on. A changed secret gets another one.

    Args:
        login: what to log in to, and with what.
        parts: what it works with.
        ends_at: when the login that Docker holds already ends, if it is ours and does.
        on_first_outcome: hears once that it was attempted or skipped.
        promised: the id that its first attempt is to have, for whoever asked the login before it.
    """

    def __init__(
        self,
        login: Login,
        parts: Surroundings,
        *,
        ends_at: datetime | None,
        on_first_outcome: Callable[[], None],
        promised: str | None = None,
    ) -> None:
        self.login: Final = login
        self._with: Final = parts
        self.row: Final = LoginRow(login, parts.clock.now(), parts.board, on_first_outcome, promised)
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
        self._next: Final = NextAttempt(self.row, self._standing, parts, self._may_work, promised)
        self._id = parts.new_id()
        self._take_over = False
        self._force = True
        self._credential: Credential | None = None
        self._unsaid: Mapping[str, Any] | None = None

    def ask(self) -> str:
        """Have it log in at once, over a person's own entry too; the id of the attempt that this brings."""
        return self._next.ask()

    @property
    def promised(self) -> str | None:
        """The id of an attempt that somebody asked for and that is not over."""
        under_way = self._id if self._take_over and self.row.now.attempting else None
        return self._next.asked or under_way

    def wake(self) -> None:
        """Have it look again at its clock, at its tools and at what AWS said to others."""
        self._next.wake()

    async def run(self) -> None:
        await self.look()
        wait_s = await self.held_back()
        if wait_s is not None:
            await self._sleep(wait_s)
        while True:
            self._id = self._with.new_id()
            async for attempt in retrying(lambda: self._with.settings().retry, self._sleep):
                with attempt:
                    await self._await_docker()
                    await self.attempt()
            await self._next.when_due()

    async def attempt(self) -> None:
        """One attempt, reported.

        Raises:
            Problem: it failed.
        """
        self._begin()
        started = self._with.clock.monotonic()
        try:
            await self._attempt(started)
        except Problem as problem:
            await self._failed(problem, started)
            self._over()
            raise
        except Exception as error:
            self._with.log.exception("login.crashed", **self.row.names)
            fault = InternalError(self.row.now.hostname, f"a fault of the agent itself: {type(error).__name__}")
            await self._failed(fault, started)
            self._over()
            raise fault from error
        self._over()

    def _over(self) -> None:
        """Not where it was cancelled: nothing came of it, and who waits for it is told by what takes its place."""
        self.row.show(attempting=False)
        self.row.first_outcome()

    def skip(self, reason: str) -> None:
        """Show that the registry is left alone for now; who asked for an attempt learns so too."""
        if self.row.now.state is not State.SKIPPED:
            self._with.log.info("login.skipped", **self.row.names, reason=reason)
        attempt_id = self._next.take_asked() or self._id
        self.row.show(state=State.SKIPPED, last_error=reason, attempt_id=attempt_id, next_attempt_at=None)
        self.row.first_outcome()

    def say_failure(self, wait_s: float | None) -> None:
        """Log the last failure, once, with the seconds until the next attempt; None: there is none."""
        unsaid, self._unsaid = self._unsaid, None
        if unsaid is not None:
            self._with.log.info(
                "login.failed",
                **self.row.names,
                **unsaid,
                failures=self.row.now.consecutive_failures,
                wait_s=None if wait_s is None else round(wait_s, 1),
            )

    async def _attempt(self, started: float) -> None:
        login = self.login
        # A renewal that was asked for is not over with a failure: its retries want another token too.
        stale = self._credential if self._next.renewal_is_due or self._take_over else None
        credential = await self._obtain(stale, force=self._force)
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

    def _may_work(self) -> bool:
        """Whether AWS's failure holds no longer: another registry got a token since, or `aws.*` was set otherwise."""
        source, cause = self.login.source, self._standing.cause
        if cause is None or not isinstance(source, AwsIdentity):
            return False
        failed_there = cause.drawn or cause.code.startswith("aws_")  # the second: a refusal from before a restart
        return failed_there and self._with.credentials.may_work(source)

    async def _await_docker(self) -> None:
        """Wait for the CLI; a registry without a valid login is skipped meanwhile."""
        await self._with.docker.looked.wait()
        while not self._with.docker.docker_ready.is_set() and not self._standing.valid:
            self.skip(self._with.docker.docker_problem)
            await self._next.woken()

    def _begin(self) -> None:
        row, asked = self.row.now, self._next.take_asked()
        if asked is not None:
            self._id = asked
            self._take_over = True
        # A person's word and a secret's first use go past the waits that earlier failures brought.
        self._force = asked is not None or row.attempts == 0
        state = State.PENDING if row.state is State.SKIPPED else row.state
        # The id comes together with `attempting`: who asked for it must not take the last outcome for its own.
        self.row.show(
            attempt_id=self._id, attempting=True, attempts=row.attempts + 1, next_attempt_at=None, state=state
        )
        self._with.log.debug("login.started", **self.row.names, attempt=row.attempts + 1)

    def _succeeded(self, credential: Credential, signed: SignedIn, kept: Kept, seconds: float) -> None:
        self._credential = credential
        self._take_over = False
        self._standing.begin(credential.expires_at)
        self._with.refusals.accepted(self.login)
        self._next.after_success(credential, clock_is_off=bool(signed.problems))
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

    async def _failed(self, problem: Problem, started: float) -> None:
        seconds = self._with.clock.monotonic() - started
        failures = self.row.now.consecutive_failures + 1
        self.row.show(consecutive_failures=failures, last_error=problem.message)
        wait = self._kept_wait(problem)
        if wait is not None:
            self._with.refusals.refused(self.login, problem, self._with.clock.now() + wait)
        await self._standing.fail(problem)
        self._unsaid = {"code": problem.code, "message": problem.message, "seconds": round(seconds, 3)}

    def _kept_wait(self, problem: Problem) -> timedelta | None:
        """How long a restart is to wait too: after a refusal, and where the registry said when to come back."""
        if problem.pace is Pace.REJECTED:
            drawn = problem.wait if problem.drawn else None
            return drawn or timedelta(seconds=self._with.settings().retry.rejected_wait_s)
        return None if problem.drawn else problem.wait

    async def look(self) -> None:
        """Believe the state directory only where Docker still has the login of which it tells."""
        if self._standing.valid:
            with suppress(Problem):  # the attempt meets it too, and tells of it
                if not await self._with.custody.holds(self.login.registry):
                    self._standing.begin(None)
                    self.row.show(expires_at=None)

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
        refused = problem.pace is Pace.REJECTED
        longest = self._with.settings().retry.rejected_wait_s if refused else LONGEST_ASKED.total_seconds()
        return min((not_before - self._with.clock.now()).total_seconds(), longest)

    async def _sleep(self, seconds: float) -> None:
        self.say_failure(seconds)
        await self._next.after_failure(seconds)
