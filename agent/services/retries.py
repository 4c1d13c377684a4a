"""The one retry policy: how long to wait after a problem, by its class."""

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_result
from tenacity.stop import stop_never

from agent.model.problem import Problem, RetryClass
from agent.model.problems.aws import AwsError, AwsThrottled, AwsUnreachable
from agent.settings import RetrySettings

LONGEST_ASKED: Final = timedelta(hours=12)
"""However long the other side asks to be left alone."""
_GROWTH: Final = 2
_GROWTH_PATIENT: Final = 4
_PATIENCE: Final = 6
"""So many times `retry.max_wait_s` may lie between two attempts while the token at hand is good for long."""
_SHARED_BY_FLEET: Final = (AwsThrottled, AwsUnreachable, AwsError)
"""What a whole fleet meets at once, and comes back from at once."""
_STEPS: Final = 100
"""By then every wait has reached its longest, and a power of more would overflow."""


def longest_wait(problem: Problem, attempt: int, settings: RetrySettings, slack_s: float = 0.0) -> float:
    """Seconds below which the wait after the failure number `attempt` (from 1) is drawn, evenly.

    Exponential, up to `retry.max_wait_s`. While a renewal can be put off (`leeway_s`), it grows faster and further:
    at an outage's end, and in a crowd, AWS hears first from those who have no token.
    """
    growth, ceiling = _GROWTH, settings.max_wait_s
    if slack_s and isinstance(problem, _SHARED_BY_FLEET):
        growth, ceiling = _GROWTH_PATIENT, max(ceiling, min(slack_s, _PATIENCE * ceiling))
    return float(min(settings.first_wait_s * growth ** min(attempt - 1, _STEPS), ceiling))


def wait_after(problem: Problem, attempt: int, settings: RetrySettings, *, slack_s: float = 0.0) -> float:
    """Seconds until the next attempt, after the failure number `attempt` (from 1).

    A refusal waits `retry.rejected_wait_s`; the rest exponentially with full jitter. Where the other side said when
    to come back (`Retry-After`), not before that. Who shares a failure comes back with the others: to draw once more
    would be to wait twice.
    """
    if problem.wait_is_final and problem.wait is not None:
        return problem.wait.total_seconds()
    if problem.retry_class is RetryClass.REJECTED:
        return settings.rejected_wait_s
    jittered = random.uniform(0, longest_wait(problem, attempt, settings, slack_s))  # noqa: S311 - it spreads load
    asked = min(problem.wait, LONGEST_ASKED).total_seconds() if problem.wait else 0.0
    return max(asked, jittered)


def retrying(
    settings: Callable[[], RetrySettings],
    sleep: Callable[[float], Awaitable[Any]],
    before_sleep: Callable[[Problem], None] | None = None,
) -> AsyncRetrying:
    """Calls a function again for as long as it returns a problem; any exception ends it.

    The function returns the problem instead of raising it: an error would keep its frames, and the password in them,
    alive for the whole wait.
    """

    def problem_of(state: RetryCallState) -> Problem:
        problem = state.outcome.result() if state.outcome else None
        assert isinstance(problem, Problem)  # noqa: S101 - nothing else is tried again
        return problem

    return AsyncRetrying(
        retry=retry_if_result(lambda result: isinstance(result, Problem)),
        stop=stop_never,
        wait=lambda state: wait_after(problem_of(state), state.attempt_number, settings()),
        sleep=sleep,
        before_sleep=(lambda state: before_sleep(problem_of(state))) if before_sleep else None,
    )
