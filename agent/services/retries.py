"""The one retry policy: how long to wait after a problem. Its retry class decides."""

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from agent.model.http_headers import LONGEST_ASKED
from agent.model.problem import Problem, RetryClass
from agent.settings import RetrySettings

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

_GROWTH: Final = 2
_GROWTH_PATIENT: Final = 4
_PATIENCE: Final = 6
"""While the current token is valid for long, a wait may be this many times `retry.max_wait_s`."""
_STEPS: Final = 100
"""By then every wait has reached its maximum. A larger exponent would overflow."""


def longest_wait(problem: Problem, attempt: int, settings: RetrySettings, slack_s: float = 0.0) -> float:
    """The upper bound in seconds of the wait after failure number `attempt` (from 1).

    It grows exponentially, up to `retry.max_wait_s`. While a renewal can wait (`slack_s` seconds), it grows faster and
    further. So after an outage, the cloud first serves the environments that have no token.
    """
    growth, ceiling = _GROWTH, settings.max_wait_s
    if slack_s and problem.fleet_wide:
        growth, ceiling = _GROWTH_PATIENT, max(ceiling, min(slack_s, _PATIENCE * ceiling))
    return float(min(settings.first_wait_s * growth ** min(attempt - 1, _STEPS), ceiling))


def wait_after(problem: Problem, attempt: int, settings: RetrySettings, *, slack_s: float = 0.0) -> float:
    """Seconds until the next attempt, after failure number `attempt` (from 1).

    After a rejection, wait `retry.rejected_wait_s`. Otherwise wait exponentially with full jitter. Either wait lasts at
    least as long as the other side asked for (`Retry-After`).
    """
    asked = asked_wait(problem, settings).total_seconds()
    if problem.retry_class is RetryClass.REJECTED or (problem.wait_is_final and problem.wait is not None):
        return asked
    jittered = random.uniform(0, longest_wait(problem, attempt, settings, slack_s))  # noqa: S311 - it spreads load
    return max(asked, jittered)


def asked_wait(problem: Problem, settings: RetrySettings) -> timedelta:
    """How long the other side wants us to wait: after a rejection, and if its answer contains a time. Else zero.

    A final wait already has its jitter: it is shared by several logins.
    """
    if problem.wait_is_final and problem.wait is not None:
        return problem.wait
    rejected = problem.retry_class is RetryClass.REJECTED
    least = timedelta(seconds=settings.rejected_wait_s if rejected else 0)
    return max(least, min(problem.wait or least, LONGEST_ASKED))


def retrying(
    settings: Callable[[], RetrySettings],
    sleep: Callable[[float], Awaitable[Any]],
    before_sleep: Callable[[Problem], None] | None = None,
) -> "AsyncRetrying":
    """Call a function again for as long as it returns a problem. Any exception ends it.

    The function returns the problem instead of raising it: an error would keep its frames, and the password in them,
    alive for the whole wait.
    """
    from tenacity import AsyncRetrying, retry_if_result  # noqa: PLC0415 - few agents have a URL

    def problem_of(state: "RetryCallState") -> Problem:
        problem = state.outcome.result() if state.outcome else None
        assert isinstance(problem, Problem)  # noqa: S101 - nothing else is tried again
        return problem

    return AsyncRetrying(
        retry=retry_if_result(lambda result: isinstance(result, Problem)),
        wait=lambda state: wait_after(problem_of(state), state.attempt_number, settings()),
        sleep=sleep,
        before_sleep=(lambda state: before_sleep(problem_of(state))) if before_sleep else None,
    )
