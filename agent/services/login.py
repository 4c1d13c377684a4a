"""One registry's login: a loop that feeds events to `model/login_state.py`, and carries out the actions it decides."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from agent.model.credential import TokenSource
from agent.model.deadline import Deadline
from agent.model.login_events import (
    Action,
    Attempt,
    Check,
    Checked,
    Event,
    Failed,
    LoginState,
    Now,
    RemovalFailed,
    Remove,
    Removed,
    Report,
    Requested,
    Rules,
    Skip,
    Stage,
    Succeeded,
    Verified,
    Woken,
)
from agent.model.login_state import decide
from agent.model.plan import Login
from agent.model.problem import ProblemError
from agent.model.status import RegistryStatus
from agent.services.endless_logins import EndlessLogins
from agent.services.login_attempt import LoginAttempts
from agent.services.login_dependencies import LoginDependencies
from agent.services.login_log import log_event
from agent.services.waiting import wait_until


class RegistryLogin:
    """Keeps one registry logged in for as long as `run` goes on. A changed secret gets a login of its own.

    `ends_at` is when the login that Docker already holds expires; None if it does not, or if it is not ours. `endless`
    knows whether one that does not end is ours.
    `on_first_attempt` is called once, when the registry was attempted or skipped. `pending_id` is the ID of an attempt
    that somebody requested from the login before this one.
    """

    def __init__(
        self,
        login: Login,
        dependencies: LoginDependencies,
        *,
        ends_at: datetime | None,
        endless: EndlessLogins,
        on_first_attempt: Callable[[], None],
        pending_id: str | None = None,
    ) -> None:
        self.login: Final = login
        self._deps: Final = dependencies
        self._endless: Final = endless
        self._on_first_attempt: Final = on_first_attempt
        self._requested_id: str | None = None
        self._needed = False
        self._wake: Final = asyncio.Event()
        self._source_is_new = False
        self._resumed: bool | None = None
        self._attempts: Final = LoginAttempts(login, dependencies)
        self._check_interval_s = dependencies.settings().renewal.check_interval_s
        now, hostname = self._now(), login.registry.hostname
        expiry = Deadline.when(ends_at, now.wall, now.monotonic) if ends_at is not None else None
        works = ends_at is None and endless.may_work(login)
        self._has_earlier: Final = works or ends_at is not None
        self._state = LoginState(
            hostname, attempt_id=pending_id, requested_id=pending_id, expiry=expiry, has_logged_in=works
        )
        self.status = RegistryStatus(
            hostname=hostname,
            secret=login.secret.name,
            scope=login.secret.scope.value,
            kind=login.kind.value,
            changed_at=now.wall,
            attempt_id=pending_id,
            expires_at=ends_at,
        )
        dependencies.board.put_registry(self.status)

    @property
    def first_attempt_done(self) -> bool:
        """Whether the registry was attempted or skipped since the agent started."""
        return self._state.first_attempt_done

    @property
    def pending_id(self) -> str | None:
        """The ID of an attempt that somebody requested and that has not ended."""
        state = self._state
        under_way = state.stage is Stage.ATTEMPTING and state.take_over
        return self._requested_id or state.requested_id or (state.attempt_id if under_way else None)

    def request_now(self) -> str:
        """Request an attempt now. Returns its ID.

        It may replace a login that a person has made before. Its retries must not replace one that is made later.
        """
        self._requested_id = self._requested_id or self._deps.new_id()
        self._deps.reconciler.note_replaceable(self.login.registry)
        self._wake.set()
        return self._requested_id

    def refresh(self) -> None:
        """Renew a login that works, because a program needs one that works longer. Failures are not retried sooner."""
        self._needed = True
        self._wake.set()

    def wake(self) -> None:
        """Look again at the clock, at docker, and at whether the source of the token works again."""
        self._wake.set()

    def source_changed(self) -> None:
        """Log in again, because the source of the password may have another one."""
        self._source_is_new = True
        self._wake.set()

    async def run(self, *, once: bool = False) -> None:
        """Log in and renew until cancelled; with `once`, until the first attempt is over."""
        event: Event = await self._verify()
        while True:
            next_event, wake_at = await self._handle(event, last=once)
            if next_event is None and once and self.first_attempt_done:
                return
            event = next_event or await self._wait(wake_at)

    async def _handle(self, event: Event, *, last: bool) -> tuple[Event | None, Deadline | None]:
        """Decide, show the new state, and carry the actions out. Returns the event that they lead to, if any."""
        former, decision = self._state, decide(self._state, event, self._now(), self._rules())
        self._state = decision.state
        for action in decision.actions:
            if isinstance(action, Report):
                self._deps.board.report(f"login:{self.status.hostname}", action.problems)
        self._show(event)
        log_event(self._deps.log, event, self._state, self._log_fields)
        if self.first_attempt_done and not former.first_attempt_done:
            self._on_first_attempt()
        outcome: Event | None = None
        for action in decision.actions:
            outcome = await self._carry_out(action, last=last) or outcome
        if outcome is not None:
            self._endless.note(self.login, outcome)
        return outcome, decision.wake_at

    async def _carry_out(self, action: Action, *, last: bool) -> Event | None:
        match action:
            case Skip(reason):
                self._deps.log.info("login.skipped", **self._log_fields, reason=reason)
            case Remove():
                return await self._remove()
            case Check():
                return await self._attempts.check()
            case Attempt():
                state = self._state
                await self._deps.reconciler.announce(self.login.registry)
                outcome = await self._attempts.run(action, failures=state.failures, attempt_id=state.attempt_id)
                if isinstance(outcome, Failed):
                    await self._prove_end()
                return self._with_news(outcome, last=last)
        return None

    def _interval_has_changed(self) -> bool:
        """Whether to ask the registry about a login without an end at another time than planned."""
        before, self._check_interval_s = self._check_interval_s, self._deps.settings().renewal.check_interval_s
        asks = self._state.stage is Stage.LOGGED_IN and self._state.expiry is None
        return asks and before != self._check_interval_s

    async def _prove_end(self) -> None:
        """Ask for the time if the stored login seems to have ended. Then `decide` knows whether to remove it.

        Only after a failure: an attempt must not wait for this, because a program may be waiting for its login.
        """
        state = self._state
        if state.stage in (Stage.ATTEMPTING, Stage.RETRYING) and state.end is not None and not state.removed:
            await self._deps.expiry.find(self.login.registry, state.end.at)

    def _with_news(self, outcome: Succeeded | Failed, *, last: bool) -> Succeeded | Failed:
        """Add what has become of Docker's store. The `last` attempt is not repeated."""
        registry, reconciler = self.login.registry, self._deps.reconciler
        unusable, unstored, foreign = reconciler.news(registry)
        if isinstance(outcome, Succeeded):
            return replace(outcome, unusable=unusable, foreign=foreign)
        outcome = replace(outcome, unusable=unusable, unstored=unstored is not None, held=reconciler.held(registry))
        return replace(outcome, retry_in=None) if last else outcome

    async def _wait(self, wake_at: Deadline | None) -> Event:
        """Wait until `wake_at`, or until something changes."""
        clock, docker = self._deps.clock, self._deps.docker
        if wake_at is None:
            await self._wake.wait()
        else:
            await wait_until(clock, wake_at, self._wake)
        await docker.looked.wait()
        if self._interval_has_changed():
            return Checked(self._attempts.check_in())
        self._wake.clear()
        docker_problem = None if docker.docker_ready.is_set() else docker.docker_problem
        requested, self._requested_id = self._requested_id, None
        is_new, self._source_is_new = self._source_is_new, False
        if requested is not None:
            return Requested(requested, docker_problem)
        is_new = is_new or self._source_recovered()
        needed, self._needed = self._needed, False
        gone = not await self._resume()
        await self._prove_end()
        unusable, unstored, foreign = self._deps.reconciler.news(self.login.registry)
        return Woken(
            self._deps.new_id(),
            docker_problem,
            source_changed=is_new,
            unusable=unusable,
            needed=needed,
            gone=gone,
            unstored=unstored is not None,
            foreign=foreign,
            held=self._deps.reconciler.held(self.login.registry),
        )

    async def _verify(self) -> Verified:
        holds_login = await self._resume()
        registry, reconciler = self.login.registry, self._deps.reconciler
        rejection = await self._deps.rejections.active(self.login)
        return Verified(holds_login, rejection, reconciler.unusable(registry), reconciler.held(registry))

    async def _resume(self) -> bool:
        """Trust the state directory only as long as Docker may hold the login that it describes."""
        state, has_stored = self._state, self.status.logged_in_at is not None
        if self._resumed is not None or not self._has_earlier or has_stored or state.removed:
            return True
        self._resumed = await self._deps.reconciler.resume(self.login.registry)
        return self._resumed is not False

    async def _remove(self) -> Removed | RemovalFailed:
        registry, reconciler = self.login.registry, self._deps.reconciler

        def has_ended() -> bool:  # while the removal waits, the reconciler may store a newer login
            held = reconciler.held(registry)
            return held is not None and self._now().proves(held.expires_at)

        try:
            return Removed(await reconciler.remove(registry, has_ended, still_wanted=True))
        except ProblemError as error:
            return RemovalFailed(error.problem)

    def _source_recovered(self) -> bool:
        """Whether another registry got a token since the source refused one, or its settings have changed."""
        source, cause = self.login.source, self._state.problem
        if cause is None or not isinstance(source, TokenSource):
            return False
        # The second part recognises a rejection from before a restart.
        failed_at_source = cause.wait_is_final or cause.code.startswith(source.code_prefix)
        return failed_at_source and self._deps.credentials.may_work(source)

    def _show(self, event: Event) -> None:
        state = self._state
        facts: dict[str, Any] = {}
        if isinstance(event, Succeeded):
            facts = {"renew_at": event.renew_at, "identity": event.identity, "logged_in_at": self._deps.clock.now()}
        status = replace(
            self.status,
            **facts,
            state=state.status,
            attempt_id=state.attempt_id,
            attempting=state.stage is Stage.ATTEMPTING,
            attempts=state.attempts,
            consecutive_failures=state.failures,
            last_error=state.last_error,
            expires_at=state.end.at if state.end is not None else None,
            next_attempt_at=state.retry.at if state.retry is not None else None,
        )
        # Many logins wake together, and for most of them nothing changes.
        if status != self.status:
            self.status = status
            self._deps.board.put_registry(status)

    @property
    def _log_fields(self) -> dict[str, str | None]:
        status = self.status
        return {"registry": status.hostname, "secret": status.secret, "attempt_id": status.attempt_id}

    def _now(self) -> Now:
        return self._deps.time.now()

    def _rules(self) -> Rules:
        settings = self._deps.settings()
        return Rules(
            urgent_window=timedelta(seconds=settings.renewal.urgent_window_s),
            first_wait=timedelta(seconds=settings.retry.first_wait_s),
            max_wait=timedelta(seconds=settings.retry.max_wait_s),
        )
