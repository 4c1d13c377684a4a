"""Simulates environments, second by second: which ones call AWS, what it answers, and when they call again."""

from typing import Final

import numpy as np

from agent.model.problem import Problem
from bench.crowd.record import Cause, Record, Who
from bench.crowd.rules import BROKEN, NOTICED_S, SILENT, THROTTLED, Rules
from bench.crowd.week import LIFE_S, MINUTE, Awake, Seconds, Week

QUOTA: Final = 200.0
"""The quota of GetAuthorizationToken, in calls per second for an account and region."""

_NEVER: Final = float("-inf")


class Quota:
    """A token bucket: `rate` calls per second, with a burst of one second's worth."""

    def __init__(self, rate: float) -> None:
        self._rate: Final = rate
        self._most: Final = max(rate, 1.0)
        self._left = self._most
        self._second = 0

    def take(self, second: int, wanted: int) -> int:
        """Return how many of the `wanted` calls are served."""
        self._left = min(self._most, self._left + (second - self._second) * self._rate)
        self._second = second
        served = min(int(self._left), wanted)
        self._left -= served
        return served


class Fleet:
    """`number` environments, each with one ECR identity, all in one account and region."""

    def __init__(self, number: int, week: Week, rules: Rules, quota: float, seed: int = 1) -> None:
        self._number: Final = number
        self._week: Final = week
        self._rules: Final = rules
        self._quota: Final = Quota(quota)
        self._chance: Final = np.random.default_rng(seed)
        self._record: Final = Record(week.length_s)
        self._obtained: Final = np.full(number, _NEVER)
        self._next: Final = np.full(number, _NEVER)
        self._since: Final = np.zeros(number)
        self._failures: Final = np.zeros(number, np.int64)
        self._cause: Final = np.zeros(number, np.int64)
        self._out: Final = np.zeros(number, np.bool_)
        self._stretch = ""

    def live(self) -> Record:
        for awake in self._week.awake:
            self._stretch = awake.name
            self._wake_up(awake)
            self._stay_awake(awake.end)
            self._fall_asleep(awake.end)
        self._record.close()
        return self._record

    def _wake_up(self, awake: Awake) -> None:
        begin = awake.starts(self._number, self._chance)
        noticed = begin + self._chance.uniform(0, NOTICED_S, self._number)
        np.maximum(self._next, noticed, out=self._next)
        anew = np.flatnonzero(self._chance.random(self._number) < awake.anew)
        self._obtained[anew], self._failures[anew], self._next[anew] = _NEVER, 0, begin[anew]
        self._cause[:] = Cause.START
        out = np.flatnonzero(self._obtained + LIFE_S <= begin)
        self._out[out], self._since[out] = True, begin[out]
        self._record.begin_without(self._cause[out], begin[out])

    def _stay_awake(self, end: float) -> None:
        while (minute := float(self._next.min()) // MINUTE * MINUTE) < end:
            soon = np.flatnonzero(self._next < minute + MINUTE)
            for second in range(int(minute), int(min(minute + MINUTE, end))):
                while len(who := soon[self._next[soon] < second + 1]):
                    self._turn(who, second)

    def _fall_asleep(self, end: float) -> None:
        """Count the tokens that have expired since the last call. Stop counting the environments without a token."""
        self._notice_ends(np.arange(self._number), np.full(self._number, end))
        out = np.flatnonzero(self._out)
        self._record.end_without(self._cause[out], np.full(len(out), end))
        self._out[:] = False

    def _turn(self, who: Who, second: int) -> None:
        who = who[np.argsort(self._next[who], kind="stable")]
        now = self._next[who]
        self._notice_ends(who, now)
        np.add.at(self._record.calls, second, len(who))
        begin, end = self._week.outage
        if begin <= second < end:
            self._record.failed[second] += len(who)
            silent = self._chance.random(len(who)) < 0.5  # noqa: PLR2004 - one half
            self._fail(who[silent], now[silent] + self._rules.silence_s, SILENT, Cause.OUTAGE)
            self._fail(who[~silent], now[~silent], BROKEN, Cause.OUTAGE)
            return
        served = self._quota.take(second, len(who))
        self._serve(who[:served], now[:served])
        self._record.throttled[second] += len(who) - served
        self._fail(who[served:], now[served:], THROTTLED, Cause.THROTTLED)

    def _serve(self, who: Who, now: Seconds) -> None:
        out = self._out[who]
        self._record.end_without(self._cause[who[out]], now[out])
        self._record.logged_in(self._stretch, self._since[who[out]], now[out])
        self._out[who], self._failures[who], self._obtained[who] = False, 0, now
        self._next[who] = self._rules.renewals(now, self._chance.uniform(-1, 1, len(who)))

    def _fail(self, who: Who, now: Seconds, problem: Problem, cause: Cause) -> None:
        self._failures[who] += 1
        waits = self._rules.longest_waits(problem, self._failures[who], now, self._obtained[who])
        self._next[who] = now + self._chance.random(len(who)) * waits
        out = who[self._out[who] & (self._cause[who] != cause)]
        moved = np.minimum(now[np.isin(who, out)], self._record.seconds - 1)
        self._record.end_without(self._cause[out], moved)
        self._cause[who] = cause
        self._record.begin_without(self._cause[out], moved)

    def _notice_ends(self, who: Who, now: Seconds) -> None:
        """Record the environments that lost their valid login, because its token expired."""
        ends = self._obtained[who] + LIFE_S
        lost = np.flatnonzero(~self._out[who] & (self._obtained[who] > _NEVER) & (ends <= now))
        ones = who[lost]
        self._out[ones], self._since[ones] = True, ends[lost]
        self._record.begin_without(self._cause[ones], ends[lost])
        np.add.at(self._record.lost, self._cause[ones], 1)


def simulate(number: int, week: Week, *, plain: bool = False, quota: float = QUOTA, seed: int = 1) -> Record:
    """Simulate the week of `number` environments. `plain` is as in `Rules`. `quota` is in calls per second."""
    return Fleet(number, week, Rules(plain=plain), quota, seed).live()
