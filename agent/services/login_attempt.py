"""One attempt at a login: get the credential, run `docker login`, store the result. And the check of a stored login."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from agent.model.credential import Credential, TokenSource
from agent.model.docker_errors import explain
from agent.model.docker_results import CliOutput
from agent.model.login_events import Attempt, Checked, Failed, Refused, Succeeded
from agent.model.plan import Login
from agent.model.problem import Problem, ProblemError, RetryClass, Severity
from agent.model.problems.aws import ClockSkew
from agent.model.problems.registry import EcrTokenExpired
from agent.model.problems.stored_login import InternalError
from agent.model.renewal import SPREAD
from agent.services.login_dependencies import LoginDependencies
from agent.services.retries import asked_wait, wait_after

_CHECK_S: Final = 20.0


class LoginAttempts:
    """The attempts of one login, which share the credential that worked last."""

    def __init__(self, login: Login, dependencies: LoginDependencies) -> None:
        self._login: Final = login
        self._deps: Final = dependencies
        self._credential: Credential | None = None

    async def run(self, action: Attempt, *, failures: int, attempt_id: str | None) -> Succeeded | Failed:
        """One attempt, after so many failures in a row. Raises nothing but cancellation."""
        started = self._deps.clock.monotonic()
        try:
            succeeded = await self._log_in(action)
        except ProblemError as error:
            problem = error.problem
        except Exception as error:
            self._deps.log.exception("login.crashed", **self._log_fields, attempt_id=attempt_id)
            message = f"this is a bug in registry-agent ({type(error).__name__}); please report it"
            problem = InternalError(self._login.registry.hostname, message)
        else:
            self._deps.rejections.clear(self._login)
            return replace(succeeded, seconds=self._deps.clock.monotonic() - started)
        if isinstance(problem, ClockSkew):
            self._deps.time.doubt()
        self._remember_rejection(problem)
        retry_s = wait_after(problem, failures + 1, self._deps.settings().retry)
        return Failed(problem, timedelta(seconds=retry_s), self._deps.clock.monotonic() - started)

    async def check(self) -> Checked | Refused:
        """Ask the registry whether it still accepts what Docker holds."""
        login, deps = self._login, self._deps
        again = Checked(self._check_in())
        try:
            found = await deps.reconciler.in_use(login.registry)
        except ProblemError:
            return again  # the reconciler meets it too, and reports it
        if found is None:
            return again
        entry, ours = found
        probe = await deps.check_login(login.registry, entry, _CHECK_S)
        if not ours:
            deps.reconciler.note_refused(login.registry, entry if probe.refused else None)
            return again
        if not probe.refused:
            return again
        if entry.identity_token:
            return replace(again, log_in_again=True)
        problem = explain(CliOutput("", status=probe.status), probe, login.registry.hostname, login.secret.name)
        self._remember_rejection(problem)
        return Refused(problem, timedelta(seconds=wait_after(problem, 1, deps.settings().retry)))

    def _check_in(self) -> timedelta | None:
        """When to ask the registry about the login, or None for never. The jitter spreads the questions of a fleet."""
        interval_s = self._deps.settings().renewal.check_interval_s
        return timedelta(seconds=interval_s * (1 + SPREAD * self._deps.jitter())) if interval_s else None

    async def _log_in(self, action: Attempt) -> Succeeded:
        login, deps = self._login, self._deps
        credential = await self._obtain(self._credential if action.renew else None, force=action.force)
        try:
            result = await deps.docker_login(login, credential)
        except ProblemError as error:
            if not isinstance(error.problem, EcrTokenExpired) or not isinstance(login.source, TokenSource):
                raise
            # AWS can end a token early: get another one in the same attempt.
            credential = await self._obtain(credential, force=True)
            result = await deps.docker_login(login, credential)
        applied = await deps.reconciler.apply(
            login.registry, result.entry, expires_at=credential.expires_at, take_over=action.take_over
        )
        for problem in applied.problems:
            if problem.severity is Severity.ERROR:
                raise ProblemError(problem)
        self._credential = credential
        return Succeeded(
            credential.expires_at,
            credential.renew_at,
            credential.identity,
            applied.stored_in,
            result.problems,
            self._check_in() if credential.expires_at is None else None,
        )

    async def _obtain(self, stale: Credential | None, *, force: bool) -> Credential:
        """The password in the secret, or a token; another one than `stale`, if that is given."""
        source = self._login.source
        if isinstance(source, Credential):
            return source
        hostname = self._login.registry.hostname
        return await self._deps.credentials.credential(source, hostname, stale=stale, force=force)

    def _remember_rejection(self, problem: Problem) -> None:
        """A restart must not try sooner, neither after a rejection nor if the registry said when to come back."""
        rejected = problem.retry_class is RetryClass.REJECTED
        if rejected or (problem.wait is not None and not problem.wait_is_final):
            wait = asked_wait(problem, self._deps.settings().retry)
            self._deps.rejections.record(self._login, problem, self._deps.clock.now() + wait)

    @property
    def _log_fields(self) -> dict[str, str]:
        return {"registry": self._login.registry.hostname, "secret": self._login.secret.name}
