"""ECR tokens for all registries: one token an identity and region, asked for by one flight at a time."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from agent.model.aws_errors import clock_skew
from agent.model.credential import AwsIdentity, Credential, EcrToken
from agent.model.deadline import Deadline
from agent.model.problem import Problem, ProblemError
from agent.model.renewal import expired, renew_at, slack
from agent.services.retries import wait_after
from agent.services.waiting import Clock, wait_until
from agent.settings import AwsSettings, Settings

_OWNER: Final = "aws.clock"


class Tokens(Protocol):
    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> EcrToken:
        """Asks AWS once; raises ProblemError."""
        ...


class Log(Protocol):
    def info(self, event: str, **fields: object) -> None: ...


class Reporter(Protocol):
    def report(self, owner: str, problems: Iterable[Problem] = ()) -> None: ...


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why the last flight failed, and when the next may start."""

    problem: Problem
    retry_at: Deadline


@dataclass(slots=True)
class _Fetch:
    task: "asyncio.Task[Credential | _Failure]"
    waiting: int = 0


@dataclass(slots=True)
class _Held:
    """What is held for one identity by the settings of the moment; `floor` is when a newer token may be asked for."""

    settings: AwsSettings
    credential: Credential | None = None
    floor: Deadline | None = None
    failure: _Failure | None = None
    failures: int = 0
    fetch: _Fetch | None = None


class Credentials:
    """Hands out ECR tokens. Only the event loop's thread may call it.

    Args:
        tokens: the way to AWS.
        clock: wall and monotonic.
        settings: read anew at each use, so that a reload holds; other `aws.*` settings make another identity.
        board: gets `clock_skew` where AWS answers, but by a clock far from ours.
        log: gets `token.obtained` and `token.failed`.
        draw: from -1 to 1, for the spread of renewals.
        on_token: called when AWS gave a token after it had failed to.
    """

    def __init__(
        self,
        *,
        tokens: Tokens,
        clock: Clock,
        settings: Callable[[], Settings],
        board: Reporter,
        log: Log,
        jitter: Callable[[], float],
        on_token: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_token: Final = on_token
        self._tokens: Final = tokens
        self._clock: Final = clock
        self._settings: Final = settings
        self._board: Final = board
        self._log: Final = log
        self._jitter: Final = jitter
        self._held: Final[dict[AwsIdentity, _Held]] = {}

    async def credential(
        self, identity: AwsIdentity, subject: str, *, stale: Credential | None = None, force: bool = False
    ) -> Credential:
        """A credential of `identity` for the registry `subject`.

        Args:
            identity: registries with equal ones share a token, and its failures.
            subject: whom a problem is to be about.
            stale: the credential that the caller holds and wants replaced; None takes what is there.
            force: a person asked: a failure's waiting time does not hold back.

        Raises:
            ProblemError: about `subject`, with `wait` until the moment at which all who share the identity come back.
        """
        holding = self._held_for(identity)
        if holding.fetch is None:
            if holding.credential is not None and self._is_news(holding, stale):
                return holding.credential
            if holding.failure is not None and not force and self._left(holding.failure.retry_at) > 0:
                raise ProblemError(self._about(holding.failure, subject))
        outcome = await self._join(identity, holding)
        if isinstance(outcome, _Failure):
            raise ProblemError(self._about(outcome, subject))
        return outcome

    def may_work(self, identity: AwsIdentity) -> bool:
        """Whether a failure holds no longer: there is a token since, or the settings are others."""
        holding = self._held.get(identity)
        if holding is None:
            return False
        works = holding.failure is None and holding.credential is not None
        return works or holding.settings != self._settings().aws

    def clock_jumped(self) -> None:
        """How far AWS's clock was from ours is no longer known; the next answer tells anew."""
        self._board.report(_OWNER)

    def retain(self, identities: Collection[AwsIdentity]) -> None:
        """Forget the tokens and failures of all other identities."""
        for identity in self._held.keys() - set(identities):
            del self._held[identity]

    def _held_for(self, identity: AwsIdentity) -> _Held:
        """What is held; nothing, if the settings by which it came about have changed."""
        settings = self._settings().aws
        holding = self._held.get(identity)
        if holding is None or holding.settings != settings:
            holding = self._held[identity] = _Held(settings)
        return holding

    def _is_news(self, holding: _Held, stale: Credential | None) -> bool:
        """Whether what is held helps the caller; a token born expired does, as long as no newer may be asked for."""
        held = holding.credential
        if held is None or held == stale:
            return False
        return not expired(held.expires_at, self._clock.now()) or self._left(holding.floor) > 0

    async def _join(self, identity: AwsIdentity, holding: _Held) -> Credential | _Failure:
        """The outcome of the identity's flight, which ends early only if nobody waits for it any more."""
        flight = holding.fetch
        if flight is None:
            flight = holding.fetch = _Fetch(asyncio.create_task(self._fetch(identity, holding), name="ecr-token"))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
            if holding.fetch is flight and not flight.waiting:
                holding.fetch = None

    async def _fetch(self, identity: AwsIdentity, holding: _Held) -> Credential | _Failure:
        if holding.floor is not None:
            await wait_until(self._clock, holding.floor, asyncio.Event())
        started = self._clock.monotonic()
        try:
            token = await self._tokens.fetch_token(identity, holding.settings)
        except ProblemError as error:
            problem = error.problem
            outcome: Credential | _Failure = self._failed(holding, problem)
        else:
            outcome = self._obtained(holding, token)
        holding.fetch = None
        self._log_outcome(identity, holding, outcome, self._clock.monotonic() - started)
        return outcome

    def _obtained(self, holding: _Held, token: EcrToken) -> Credential:
        settings, now = self._settings().renewal, self._clock.now()
        floor = timedelta(seconds=settings.min_interval_s)
        due = renew_at(now, token.expires_at, fraction=settings.fraction, jitter=self._jitter(), floor=floor)
        holding.floor = Deadline.after(floor, now, self._clock.monotonic())
        failed, holding.failure, holding.failures = holding.failure is not None, None, 0
        holding.credential = Credential(token.username, token.password, now, token.expires_at, due, token.arn)
        skew = clock_skew(token.server_time, now)
        self._board.report(_OWNER, [skew] if skew else [])
        if failed:
            self._on_token()
        return holding.credential

    def _failed(self, holding: _Held, problem: Problem) -> _Failure:
        holding.failures += 1
        leeway_s = self._slack_s(holding.credential)
        wait = timedelta(seconds=wait_after(problem, holding.failures, self._settings().retry, slack_s=leeway_s))
        holding.failure = _Failure(problem, Deadline.after(wait, self._clock.now(), self._clock.monotonic()))
        return holding.failure

    def _slack_s(self, held: Credential | None) -> float:
        """How long the renewal of what is held may be put off; one that came early has a person who waits for it."""
        now = self._clock.now()
        if held is None or not (held.renew_at and held.obtained_at and held.expires_at) or now < held.renew_at:
            return 0.0
        urgent_window = timedelta(seconds=self._settings().renewal.urgent_window_s)
        return slack(held.obtained_at, held.expires_at, now, urgent_window).total_seconds()

    def _log_outcome(
        self, identity: AwsIdentity, holding: _Held, outcome: Credential | _Failure, seconds: float
    ) -> None:
        names = {"region": identity.region, "public": identity.public, "role": identity.role_arn}
        took = round(seconds, 3)
        if isinstance(outcome, Credential):
            times = {"expires_at": outcome.expires_at, "renew_at": outcome.renew_at}
            self._log.info("token.obtained", **names, identity=outcome.identity, **times, seconds=took)
            return
        problem, wait = outcome.problem, round(self._left(outcome.retry_at), 1)
        said = {"code": problem.code, "message": problem.message, "failures": holding.failures, "wait_s": wait}
        self._log.info("token.failed", **names, **said, seconds=took)

    def _about(self, failure: _Failure, subject: str) -> Problem:
        return failure.problem.about(subject, wait=timedelta(seconds=max(self._left(failure.retry_at), 0.0)))

    def _left(self, deadline: Deadline | None) -> float:
        return deadline.left(self._clock.now(), self._clock.monotonic()) if deadline else 0.0
