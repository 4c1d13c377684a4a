"""One registry's login: credential, `docker login`, Docker's configuration, report, wait, and again."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from agent.model.credential import AwsIdentity, Credential
from agent.model.plan import Login
from agent.model.problem import Problem, ProblemError, RetryClass, Severity
from agent.model.problems.registry import EcrTokenExpired
from agent.model.problems.stored_login import InternalError
from agent.model.status import State
from agent.services.attempt_schedule import AttemptSchedule
from agent.services.docker_login import DockerLoginResult
from agent.services.login_dependencies import Applied, LoginDependencies
from agent.services.login_reporter import LoginReporter
from agent.services.login_state import LoginState
from agent.services.retries import LONGEST_ASKED, retrying


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
        dependencies: LoginDependencies,
        *,
        ends_at: datetime | None,
        on_first_attempt: Callable[[], None],
        pending_id: str | None = None,
    ) -> None:
        self.login: Final = login
        self._deps: Final = dependencies
        self.reporter: Final = LoginReporter(
            login, dependencies.clock.now(), dependencies.board, on_first_attempt, pending_id
        )
        self._state: Final = LoginState(
            login.registry,
            self.reporter,
            reconciler=dependencies.reconciler,
            clock=dependencies.clock,
            log=dependencies.log,
            settings=dependencies.settings,
        )
        self._state.begin(ends_at)
        self.reporter.update(expires_at=ends_at)
        self._schedule: Final = AttemptSchedule(self.reporter, self._state, dependencies, self._may_work, pending_id)
        self._id = dependencies.new_id()
        self._take_over = False
        self._force = True
        self._credential: Credential | None = None
        self._unlogged_failure: Mapping[str, Any] | None = None

    def request_now(self) -> str:
        """Have it log in at once, over a person's own entry too; the id of the attempt that this brings."""
        return self._schedule.request_now()

    @property
    def pending_id(self) -> str | None:
        """The id of an attempt that somebody asked for and that is not over."""
        under_way = self._id if self._take_over and self.reporter.status.attempting else None
        return self._schedule.requested_id or under_way

    def wake(self) -> None:
        """Have it look again at its clock, at its tools and at what AWS said to others."""
        self._schedule.wake()

    async def run(self) -> None:
        await self.verify_stored()
        wait_s = await self.rejection_wait_s()
        if wait_s is not None:
            await self._sleep(wait_s)
        while True:
            self._id = self._deps.new_id()
            await retrying(lambda: self._deps.settings().retry, self._sleep)(self._attempt_with_docker)
            await self._schedule.when_due()

    async def _attempt_with_docker(self) -> Problem | None:
        await self._await_docker()
        return await self.attempt()

    async def attempt(self) -> Problem | None:
        """One attempt, reported; why it failed."""
        self._begin()
        started = self._deps.clock.monotonic()
        problem: Problem | None = None
        try:
            await self._attempt(started)
        except ProblemError as error:
            problem = error.problem
        except Exception as error:
            self._deps.log.exception("login.crashed", **self.reporter.log_fields)
            message = f"a fault of the agent itself: {type(error).__name__}"
            problem = InternalError(self.reporter.status.hostname, message)
        if problem is not None:
            await self._failed(problem, started)
        self._finish()
        return problem

    def _finish(self) -> None:
        """Not where it was cancelled: nothing came of it, and who waits for it is told by what takes its place."""
        self.reporter.update(attempting=False)
        self.reporter.report_first_attempt()

    def skip(self, reason: str) -> None:
        """Show that the registry is left alone for now; who asked for an attempt learns so too."""
        if self.reporter.status.state is not State.SKIPPED:
            self._deps.log.info("login.skipped", **self.reporter.log_fields, reason=reason)
        attempt_id = self._schedule.take_request() or self._id
        self.reporter.update(state=State.SKIPPED, last_error=reason, attempt_id=attempt_id, next_attempt_at=None)
        self.reporter.report_first_attempt()

    def log_failure(self, wait_s: float | None) -> None:
        """Log the last failure, once, with the seconds until the next attempt; None: there is none."""
        unsaid, self._unlogged_failure = self._unlogged_failure, None
        if unsaid is not None:
            self._deps.log.info(
                "login.failed",
                **self.reporter.log_fields,
                **unsaid,
                failures=self.reporter.status.consecutive_failures,
                wait_s=None if wait_s is None else round(wait_s, 1),
            )

    async def _attempt(self, started: float) -> None:
        login = self.login
        # A renewal that was asked for is not over with a failure: its retries want another token too.
        stale = self._credential if self._schedule.renewal_is_due or self._take_over else None
        credential = await self._obtain(stale, force=self._force)
        try:
            signed = await self._deps.docker_login.log_in(login, credential)
        except ProblemError as error:
            if not isinstance(error.problem, EcrTokenExpired) or not isinstance(login.source, AwsIdentity):
                raise
            credential = await self._obtain(credential, force=True)
            signed = await self._deps.docker_login.log_in(login, credential)
        kept = await self._deps.reconciler.apply(
            login.registry, signed.entry, expires_at=credential.expires_at, take_over=self._take_over
        )
        for problem in kept.problems:
            if problem.severity is Severity.ERROR:
                raise ProblemError(problem)
        self._succeeded(credential, signed, kept, self._deps.clock.monotonic() - started)

    async def _obtain(self, stale: Credential | None, *, force: bool) -> Credential:
        """The password at hand, or a token: another than `stale` if that is given."""
        source = self.login.source
        if isinstance(source, Credential):
            return source
        return await self._deps.credentials.credential(source, self.reporter.status.hostname, stale=stale, force=force)

    def _may_work(self) -> bool:
        """Whether AWS's failure holds no longer: another registry got a token since, or `aws.*` was set otherwise."""
        source, cause = self.login.source, self._state.cause
        if cause is None or not isinstance(source, AwsIdentity):
            return False
        failed_there = cause.wait_is_final or cause.code.startswith(
            "aws_"
        )  # the second: a refusal from before a restart
        return failed_there and self._deps.credentials.may_work(source)

    async def _await_docker(self) -> None:
        """Wait for the CLI; a registry without a valid login is skipped meanwhile."""
        await self._deps.docker.looked.wait()
        while not self._deps.docker.docker_ready.is_set() and not self._state.valid:
            self.skip(self._deps.docker.docker_problem)
            await self._schedule.wait_for_wake()

    def _begin(self) -> None:
        row, asked = self.reporter.status, self._schedule.take_request()
        if asked is not None:
            self._id = asked
            self._take_over = True
        # A person's word and a secret's first use go past the waits that earlier failures brought.
        self._force = asked is not None or row.attempts == 0
        state = State.PENDING if row.state is State.SKIPPED else row.state
        # The id comes together with `attempting`: who asked for it must not take the last outcome for its own.
        self.reporter.update(
            attempt_id=self._id, attempting=True, attempts=row.attempts + 1, next_attempt_at=None, state=state
        )
        self._deps.log.debug("login.started", **self.reporter.log_fields, attempt=row.attempts + 1)

    def _succeeded(self, credential: Credential, signed: DockerLoginResult, kept: Applied, seconds: float) -> None:
        self._credential = credential
        self._take_over = False
        self._state.begin(credential.expires_at)
        self._deps.rejections.clear(self.login)
        self._schedule.after_success(credential, clock_is_off=bool(signed.problems))
        self.reporter.report(*signed.problems, state=State.LOGGED_IN)
        self.reporter.update(
            logged_in_at=self._deps.clock.now(),
            expires_at=credential.expires_at,
            renew_at=credential.renew_at,
            identity=credential.identity,
            consecutive_failures=0,
            last_error=None,
        )
        times = {"expires_at": credential.expires_at, "renew_at": credential.renew_at, "seconds": round(seconds, 3)}
        self._deps.log.info("login.succeeded", **self.reporter.log_fields, stored_in=kept.stored_in, **times)

    async def _failed(self, problem: Problem, started: float) -> None:
        seconds = self._deps.clock.monotonic() - started
        failures = self.reporter.status.consecutive_failures + 1
        self.reporter.update(consecutive_failures=failures, last_error=problem.message)
        wait = self._wait_across_restarts(problem)
        if wait is not None:
            self._deps.rejections.record(self.login, problem, self._deps.clock.now() + wait)
        await self._state.fail(problem)
        self._unlogged_failure = {"code": problem.code, "message": problem.message, "seconds": round(seconds, 3)}

    def _wait_across_restarts(self, problem: Problem) -> timedelta | None:
        """How long a restart is to wait too: after a refusal, and where the registry said when to come back."""
        if problem.retry_class is RetryClass.REJECTED:
            final_wait = problem.wait if problem.wait_is_final else None
            return final_wait or timedelta(seconds=self._deps.settings().retry.rejected_wait_s)
        return None if problem.wait_is_final else problem.wait

    async def verify_stored(self) -> None:
        """Believe the state directory only where Docker still has the login of which it tells."""
        if self._state.valid:
            with suppress(ProblemError):  # the attempt meets it too, and tells of it
                if not await self._deps.reconciler.holds(self.login.registry):
                    self._state.begin(None)
                    self.reporter.update(expires_at=None)

    async def rejection_wait_s(self) -> float | None:
        """Show a refusal of this very secret from before a restart, and say for how many seconds it still holds."""
        held = self._deps.rejections.active(self.login)
        if held is None:
            return None
        problem, not_before = held
        self.reporter.update(last_error=problem.message)
        await self._state.fail(problem)
        self._deps.log.info("login.deferred", **self.reporter.log_fields, code=problem.code, not_before=not_before)
        self.reporter.report_first_attempt()
        refused = problem.retry_class is RetryClass.REJECTED
        longest = self._deps.settings().retry.rejected_wait_s if refused else LONGEST_ASKED.total_seconds()
        return min((not_before - self._deps.clock.now()).total_seconds(), longest)

    async def _sleep(self, seconds: float) -> None:
        self.log_failure(seconds)
        await self._schedule.after_failure(seconds)
