"""Tokens for all registries. Each source has one token, and at most one request for it at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agent.model.clock_skew import cloud_clock_skew
from agent.model.credential import Credential, Token, TokenSource
from agent.model.deadline import Deadline
from agent.model.problem import Problem, ProblemError
from agent.model.problems.aws import ClockSkew
from agent.model.renewal import expired, must_be_new, renew_at, slack
from agent.services.ports import Clock, Log, Reporter
from agent.services.retries import wait_after
from agent.services.waiting import wait_until
from agent.settings import Settings

FetchToken = Callable[[TokenSource, Settings], Awaitable[Token]]
"""Fetches a token from a source, without retries. Raises a `ProblemError` if the source gives none."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why the last request failed, and when the next one may start."""

    problem: Problem
    retry_at: Deadline


@dataclass(slots=True)
class _Fetch:
    """A request in progress, and how many callers wait for it."""

    task: "asyncio.Task[Credential | _Failure]"
    waiting: int = 0


@dataclass(slots=True)
class _SourceState:
    """The state of one source under the current settings.

    `floor` is when the next token may be requested. `changed`: its files changed during the current request.
    """

    settings: Settings
    credential: Credential | None = None
    floor: Deadline | None = None
    failure: _Failure | None = None
    failures: int = 0
    fetch: _Fetch | None = None
    changed: bool = False


class Credentials:
    """Hands out tokens. Only the event loop's thread may call it.

    Changed `Settings.for_tokens` discard the tokens. `board` receives `clock_skew` if a cloud answers, but its clock is
    far from ours. `jitter` is from -1 to 1, and spreads renewals over time. `on_token` is called when a source gives a
    token after a failure.
    """

    def __init__(
        self,
        *,
        fetch: FetchToken,
        clock: Clock,
        settings: Callable[[], Settings],
        board: Reporter,
        log: Log,
        jitter: Callable[[], float],
        on_token: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_token: Final = on_token
        self._fetch_token: Final = fetch
        self._clock: Final = clock
        self._settings: Final = settings
        self._board: Final = board
        self._log: Final = log
        self._jitter: Final = jitter
        self._states: Final[dict[TokenSource, _SourceState]] = {}
        self._clocks: Final[set[str]] = set()
        """The owners of the reports about the difference to a cloud's clock."""

    async def credential(
        self, source: TokenSource, subject: str, *, stale: Credential | None = None, force: bool = False
    ) -> Credential:
        """Return a credential of `source` for the registry `subject`.

        Args:
            source: registries with equal sources share one token, and its failures.
            subject: the subject of a problem.
            stale: the credential that the caller has and wants to replace. None accepts the current one.
            force: ignore the wait after a failure, because a person asked.

        Raises:
            ProblemError: about `subject`. Its `wait` ends at the same moment for all registries of the source.
        """
        state = self._state_of(source)
        if state.fetch is None:
            if state.credential is not None and self._is_usable(state, stale):
                return state.credential
            # A failure applies to all registries of the source until its retry time.
            if state.failure is not None and not force and self._left(state.failure.retry_at) > 0:
                raise ProblemError(self._about(state.failure, subject))
        outcome = await self._join(source, state)
        if isinstance(outcome, _Failure):
            raise ProblemError(self._about(outcome, subject))
        return outcome

    def may_work(self, source: TokenSource) -> bool:
        """Whether a failure is out of date: a token was fetched since, or the settings have changed."""
        state = self._states.get(source)
        if state is None:
            return False
        works = state.failure is None and state.credential is not None
        return works or state.settings.for_tokens != self._settings().for_tokens

    def source_changed(self, source: TokenSource) -> bool:
        """Forget its token, because it may have another one now. A request in progress may have read the old one.

        The files of a cloud's identity change with each use of the cloud's tools. So its token is kept, and only a wait
        after a failure ends. Returns whether the source should be asked again.
        """
        if not source.depends_on_environment:
            self._states.pop(source, None)
            return True
        state = self._states.get(source)
        failed = state is not None and state.failure is not None
        if state is not None:
            state.failure, state.changed = None, True
        return failed

    def clock_jumped(self) -> None:
        """Clear `clock_skew`: the measured difference is no longer right. A cloud's next answer shows the new one."""
        for owner in self._clocks:
            self._board.report(owner)

    def retain(self, sources: Collection[TokenSource]) -> None:
        """Forget the tokens and failures of all sources that are not in `sources`."""
        for source in self._states.keys() - set(sources):
            del self._states[source]

    def _state_of(self, source: TokenSource) -> _SourceState:
        """The state of the source. It starts empty if the settings have changed."""
        settings = self._settings()
        state = self._states.get(source)
        if state is None or state.settings.for_tokens != settings.for_tokens:
            state = self._states[source] = _SourceState(settings)
        return state

    def _is_usable(self, state: _SourceState, stale: Credential | None) -> bool:
        """Whether the current token helps the caller.

        An expired token is still returned while no newer one may be requested. Some test servers issue tokens that are
        expired from the start, and these must not cause a busy loop.
        """
        current = state.credential
        if current is None or current == stale:
            return False
        return not expired(current.expires_at, self._clock.now()) or self._left(state.floor) > 0

    async def _join(self, source: TokenSource, state: _SourceState) -> Credential | _Failure:
        """Start the request for the source, or join the current one, and return its outcome.

        The request is cancelled only when no caller waits for it any more.
        """
        fetch = state.fetch
        if fetch is None:
            fetch = state.fetch = _Fetch(asyncio.create_task(self._fetch(source, state), name="token"))
        fetch.waiting += 1
        try:
            # A caller that is cancelled must not cancel the request of the others.
            return await asyncio.shield(fetch.task)
        finally:
            fetch.waiting -= 1
            if not fetch.waiting and not fetch.task.done():
                fetch.task.cancel()
            # The next caller must not join a request that was cancelled.
            if state.fetch is fetch and not fetch.waiting:
                state.fetch = None

    async def _fetch(self, source: TokenSource, state: _SourceState) -> Credential | _Failure:
        # Not more often than `renewal.min_interval_s`, even if each new token has already expired.
        if state.floor is not None:
            await wait_until(self._clock, state.floor, asyncio.Event())
        started = self._clock.monotonic()
        try:
            token = await self._ask(source, state)
            self._check_replaced(source, state.credential, token)
        except ProblemError as error:
            outcome: Credential | _Failure = self._record_failure(state, error.problem)
        else:
            outcome = self._record_token(source, state, token)
        state.fetch = None
        self._log_outcome(source, state, outcome, self._clock.monotonic() - started)
        return outcome

    async def _ask(self, source: TokenSource, state: _SourceState) -> Token:
        """Ask the source, once more if its files have changed meanwhile: the failure may be due to the former ones."""
        state.changed = False
        try:
            return await self._fetch_token(source, state.settings)
        except ProblemError:
            if not state.changed:
                raise
        return await self._fetch_token(source, state.settings)

    def _check_replaced(self, source: TokenSource, current: Credential | None, token: Token) -> None:
        """Raise the problem if the token is still the current one, and about to end."""
        if token.expires_at is None or current is None or current.obtained_at is None or not _is_same(current, token):
            return
        problem = source.not_replaced(token.expires_at)
        if problem is not None and must_be_new(current.obtained_at, token.expires_at, self._clock.now()):
            raise ProblemError(problem)

    def _record_token(self, source: TokenSource, state: _SourceState, token: Token) -> Credential:
        settings, now = self._settings().renewal, self._clock.now()
        floor = timedelta(seconds=settings.min_interval_s)
        skew = cloud_clock_skew(token.server_time, now, source.issuer)
        ends = token.expires_at
        if skew is not None and ends is not None and token.server_time is not None:
            ends += now - token.server_time  # the end on our own clock, which is wrong
        # The jitter is drawn once per token, so all registries that share it renew together.
        due = renew_at(now, ends, fraction=settings.fraction, jitter=self._jitter(), floor=floor, reserve=token.reserve)
        state.floor = Deadline.after(floor, now, self._clock.monotonic())
        failed, state.failure, state.failures = state.failure is not None, None, 0
        current = state.credential
        obtained_at = current.obtained_at if current is not None and _is_same(current, token) else now
        state.credential = Credential(
            token.username, token.password, obtained_at, token.expires_at, due, token.identity
        )
        if source.issuer:
            self._report_clock(source.issuer, skew)
        if failed:
            self._on_token()
        return state.credential

    def _report_clock(self, issuer: str, skew: ClockSkew | None) -> None:
        owner = f"{issuer.lower()}.clock"
        self._clocks.add(owner)
        self._board.report(owner, [skew] if skew else [])

    def _record_failure(self, state: _SourceState, problem: Problem) -> _Failure:
        state.failures += 1
        slack_s = self._slack_s(state.credential)
        wait = timedelta(seconds=wait_after(problem, state.failures, self._settings().retry, slack_s=slack_s))
        state.failure = _Failure(problem, Deadline.after(wait, self._clock.now(), self._clock.monotonic()))
        return state.failure

    def _slack_s(self, current: Credential | None) -> float:
        """How long a failing renewal can be delayed. Zero before it is due: then a person asked for it, and waits."""
        now = self._clock.now()
        if current is None or not (current.renew_at and current.obtained_at and current.expires_at):
            return 0.0
        if now < current.renew_at:
            return 0.0
        urgent_window = timedelta(seconds=self._settings().renewal.urgent_window_s)
        return slack(current.obtained_at, current.expires_at, now, urgent_window).total_seconds()

    def _log_outcome(
        self, source: TokenSource, state: _SourceState, outcome: Credential | _Failure, seconds: float
    ) -> None:
        names = source.log_fields
        took = round(seconds, 3)
        if isinstance(outcome, Credential):
            times = {"expires_at": outcome.expires_at, "renew_at": outcome.renew_at}
            self._log.info("token.obtained", **names, identity=outcome.identity, **times, seconds=took)
            return
        problem, wait = outcome.problem, round(self._left(outcome.retry_at), 1)
        failure = {"code": problem.code, "message": problem.message, "failures": state.failures, "wait_s": wait}
        self._log.info("token.failed", **names, **failure, seconds=took)

    def _about(self, failure: _Failure, subject: str) -> Problem:
        return failure.problem.about(subject, wait=timedelta(seconds=max(self._left(failure.retry_at), 0.0)))

    def _left(self, deadline: Deadline | None) -> float:
        return deadline.left(self._clock.now(), self._clock.monotonic()) if deadline else 0.0


def _is_same(current: Credential, token: Token) -> bool:
    same_login = current.username == token.username and current.password == token.password
    return same_login and current.expires_at == token.expires_at
