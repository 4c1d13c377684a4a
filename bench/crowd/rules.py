"""The agent's decisions, from the agent's own functions, for times in seconds."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.model.problem import Problem
from agent.model.problems.aws import AwsError, AwsThrottled, AwsUnreachable
from agent.model.renewal import renew_at, slack
from agent.services.retries import longest_wait
from agent.services.waiting import BEAT_S
from agent.settings import Settings
from bench.crowd.week import LIFE_S, Seconds

Attempts = npt.NDArray[np.int64]

MONDAY: Final = datetime(2026, 1, 5, tzinfo=UTC)
_LIFE: Final = timedelta(seconds=LIFE_S)

_MANY: Final = 64
"""After this many attempts, every wait has long reached its maximum."""

NOTICED_S: Final = BEAT_S
"""The agent notices a resume within this time."""

THROTTLED: Final = AwsThrottled("aws", "too many")
SILENT: Final = AwsUnreachable("aws", "no answer")
BROKEN: Final = AwsError("aws", "500")


def moment(seconds: float) -> datetime:
    return MONDAY + timedelta(seconds=seconds)


def _seconds(when: datetime) -> float:
    return (when - MONDAY).total_seconds()


@dataclass(frozen=True, slots=True)
class Rules:
    """The agent's rules, with its default settings.

    With `plain`, they leave out the part that protects the fleet: after a failed renewal, an environment with a valid
    token waits as long as one without. These are the rules before.
    """

    plain: bool = False
    settings: Settings = field(default_factory=Settings)

    @property
    def silence_s(self) -> float:
        return self.settings.aws.call_timeout_s

    def renewals(self, obtained: Seconds, draws: Seconds) -> Seconds:
        """Return when tokens are due. A draw is from -1 to 1."""
        renewal = self.settings.renewal
        floor = timedelta(seconds=renewal.min_interval_s)
        due = (
            renew_at(now := moment(at), now + _LIFE, fraction=renewal.fraction, jitter=draw, floor=floor)
            for at, draw in zip(obtained.tolist(), draws.tolist(), strict=True)
        )
        return np.fromiter(map(_seconds, due), np.float64, len(obtained))

    def longest_waits(self, problem: Problem, attempts: Attempts, now: Seconds, obtained: Seconds) -> Seconds:
        """Return the longest waits after failures number `attempts`. `obtained` is minus infinity without a token."""
        retry = self.settings.retry
        urgent_window = timedelta(seconds=self.settings.renewal.urgent_window_s)
        # They are the same for all environments without a valid token, and needed a hundred million times.
        known = np.array([longest_wait(problem, attempt, retry) for attempt in range(1, _MANY + 1)])
        waits: Seconds = known[np.minimum(attempts, _MANY) - 1]
        if not self.plain:
            for row in np.flatnonzero(obtained + LIFE_S > now):
                got = moment(float(obtained[row]))
                spare = slack(got, got + _LIFE, moment(float(now[row])), urgent_window)
                waits[row] = longest_wait(problem, int(attempts[row]), retry, spare.total_seconds())
        return waits
