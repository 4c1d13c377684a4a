"""The one retry policy: how long to wait after a problem, by its class."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.stop import stop_never
from tenacity.wait import wait_random_exponential

from agent.model.problem import Pace, Problem
from agent.settings import RetrySettings

_AFTER_MAX = timedelta(hours=12)


def wait_after(problem: Problem, state: RetryCallState, settings: RetrySettings) -> float:
    """Seconds until the next attempt.

    A refusal waits `retry.rejected_wait_s`; the rest exponentially with full jitter. Where the other side said when
    to come back (`Retry-After`), not before that. Who shares a failure comes back with the others: to draw once more
    would be to wait twice.
    """
    if problem.drawn and problem.wait is not None:
        return problem.wait.total_seconds()
    if problem.pace is Pace.REJECTED:
        return settings.rejected_wait_s
    jittered = wait_random_exponential(multiplier=settings.first_wait_s, max=settings.max_wait_s)(state)
    asked = min(problem.wait, _AFTER_MAX).total_seconds() if problem.wait else 0.0
    return max(asked, jittered)


def retrying(
    settings: Callable[[], RetrySettings],
    sleep: Callable[[float], Awaitable[Any]],
    before_sleep: Callable[[RetryCallState], None] | None = None,
) -> AsyncRetrying:
    """Tries again for ever, and only after a `Problem`: a cancellation or a bug ends it."""

    def wait(state: RetryCallState) -> float:
        problem = state.outcome.exception() if state.outcome else None
        assert isinstance(problem, Problem)  # noqa: S101 - nothing else is tried again
        return wait_after(problem, state, settings())

    return AsyncRetrying(
        retry=retry_if_exception_type(Problem),
        stop=stop_never,
        wait=wait,
        sleep=sleep,
        before_sleep=before_sleep,
    )
