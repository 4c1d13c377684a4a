"""One attempt at a login: get the credential, run `docker login`, store the result. And the check of a stored login."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from agent.model.credential import Credential, TokenSource
from agent.model.docker_config import Entry
from agent.model.docker_errors import explain
from agent.model.docker_results import CliOutput, ProbeResult
from agent.model.login_events import Attempt, Checked, Failed, Refused, Succeeded
from agent.model.plan import Login
from agent.model.problem import Problem, ProblemError, RetryClass, Severity
from agent.model.problems.aws import ClockSkew
from agent.model.problems.registry import EcrTokenExpired, LoginRejected
from agent.model.problems.stored_login import InternalError
from agent.model.renewal import SPREAD
from agent.services.docker_login import DockerLoginResult
from agent.services.login_dependencies import LoginDependencies
from agent.services.retries import asked_wait, wait_after

_CHECK_S: Final = 20.0


class _HeldBackError(ProblemError):
    """The password is not sent, because of an earlier refusal that holds for `wait`."""

    def __init__(self, problem: Problem, wait: timedelta) -> None:
        super().__init__(problem)
        self.wait: Final = wait


class LoginAttempts:
    """The attempts of one login, which share the credential that worked last."""

    def __init__(self, login: Login, dependencies: LoginDependencies) -> None:
        self._login: Final = login
        self._deps: Final = dependencies
        self._credential: Credential | None = None
        self._refused: Credential | None = None

    async def run(self, action: Attempt, *, failures: int, attempt_id: str | None) -> Succeeded | Failed:
        """One attempt, after so many failures in a row. Raises nothing but cancellation."""
        started = self._deps.clock.monotonic()
        try:
            succeeded = await self._log_in(action)
        except _HeldBackError as error:
            return Failed(error.problem, error.wait, self._deps.clock.monotonic() - started)
        except ProblemError as error:
            problem = error.problem
        except Exception as error:
            self._deps.log.exception("login.crashed", **self._log_fields, attempt_id=attempt_id)
            problem = InternalError.of(error, self._login.registry.hostname)
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
        again = Checked(self.check_in())
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
        return self._refusal(entry, probe, again) if probe.refused else again

    def _refusal(self, entry: Entry, probe: ProbeResult, again: Checked) -> Checked | Refused:
        login = self._login
        self._deps.served.note_refused(login.registry, entry)
        if entry.identity_token:
            return replace(again, log_in_again=True)
        problem = explain(CliOutput("", status=probe.status), probe, login.registry.hostname, login.secret_label)
        self._remember_rejection(problem, Credential(entry.username, entry.secret))
        if login.password_may_change:
            self._refused = self._credential
            return replace(again, log_in_again=True)
        return Refused(problem, timedelta(seconds=wait_after(problem, 1, self._deps.settings().retry)))

    def check_in(self) -> timedelta | None:
        """When to ask the registry about the login, or None for never. The jitter spreads the questions of a fleet."""
        interval_s = self._deps.settings().renewal.check_interval_s
        return timedelta(seconds=interval_s * (1 + SPREAD * self._deps.jitter())) if interval_s else None

    async def _log_in(self, action: Attempt) -> Succeeded:
        login, deps = self._login, self._deps
        started = deps.clock.now()
        credential = await self._obtain(self._credential if action.renew else self._refused, force=action.force)
        try:
            result = await self._send(credential, action)
        except ProblemError as error:
            credential = await self._another(credential, error, started)
            result = await self._send(credential, action)
        deps.served.note_refused(login.registry, result.entry, refused=False)
        applied = await deps.reconciler.apply(
            login.registry, result.entry, expires_at=credential.expires_at, take_over=action.take_over
        )
        for problem in applied.problems:
            if problem.severity is Severity.ERROR and not applied.ours:
                raise ProblemError(problem)
        self._credential, self._refused = credential, None
        return Succeeded(
            credential.expires_at,
            credential.renew_at,
            credential.identity,
            applied.stored_in,
            result.problems,
            self.check_in() if credential.expires_at is None else None,
        )

    async def _send(self, credential: Credential, action: Attempt) -> DockerLoginResult:
        """Run `docker login`, but not with a password that the registry has refused before: it may lock the account.

        Only the attempt that a person requests sends it again, not the retries that follow.
        """
        login, deps = self._login, self._deps
        if not (action.take_over and action.force) and (login.password_may_change or login.source is credential):
            active = await deps.rejections.active(login, credential)
            if active is not None:
                raise _HeldBackError(*active)
        try:
            return await deps.docker_login(login, credential)
        except ProblemError as error:
            # After any other refusal, such as that of an address, the login may work again at any time.
            if isinstance(error.problem, LoginRejected | EcrTokenExpired):
                deps.served.note_refused(login.registry, Entry(credential.username, credential.password))
            if login.password_may_change:
                self._refused = credential if isinstance(error.problem, LoginRejected) else self._refused
                self._remember_rejection(error.problem, credential)
            raise

    async def _another(self, refused: Credential, error: ProblemError, started: datetime) -> Credential:
        """Get another credential in the same attempt: AWS can end a token early, and a password can be replaced.

        If there is none, the refusal stands, and is raised.
        """
        login, refusal = self._login, error.problem
        if isinstance(refusal, EcrTokenExpired) and isinstance(login.source, TokenSource):
            return await self._obtain(refused, force=True)
        is_older = refused.obtained_at is not None and refused.obtained_at < started
        if isinstance(refusal, LoginRejected) and login.password_may_change and is_older:
            with suppress(ProblemError):
                other = await self._obtain(refused, force=True)
                if other.fingerprint != refused.fingerprint:
                    return other
        raise error

    async def _obtain(self, stale: Credential | None, *, force: bool) -> Credential:
        """The password in the secret, or a token; another one than `stale`, if that is given."""
        source = self._login.source
        if isinstance(source, Credential):
            return source
        hostname = self._login.registry.hostname
        return await self._deps.credentials.credential(source, hostname, stale=stale, force=force)

    def _remember_rejection(self, problem: Problem, credential: Credential | None = None) -> None:
        """A restart must not try sooner, neither after a rejection nor if the registry said when to come back."""
        rejected = problem.retry_class is RetryClass.REJECTED
        if rejected or (problem.wait is not None and not problem.wait_is_final):
            wait = asked_wait(problem, self._deps.settings().retry)
            self._deps.rejections.record(self._login, problem, wait, credential)

    @property
    def _log_fields(self) -> dict[str, str]:
        return {"registry": self._login.registry.hostname, "secret": self._login.secret.name}
