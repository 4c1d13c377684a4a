"""When a token is due, and how late it is: pure functions of the token's times and `now`."""

from datetime import datetime, timedelta
from typing import Final

from agent.model.problem import Severity

SPREAD: Final = 0.1
"""The share by which `renewal.fraction` is moved at most, so that a fleet does not renew in one moment."""

LATEST: Final = 0.95
"""The share of a token's life after which it is too late, wherever `renewal.fraction` and the spread put it."""

RESERVE: Final = 0.25
"""The share of a token's life, its last, in which a renewal that is due is not put off any more."""

LEEWAY: Final = 1 / 6
"""The share of what is left before that by which it may be put off: half an hour, where a 12-hour token is half used.

AWS then serves those first who have no token."""


def renew_at(
    obtained_at: datetime, expires_at: datetime, *, fraction: float, jitter: float, floor: timedelta
) -> datetime:
    """The moment to renew a token.

    Args:
        obtained_at: when AWS gave it, by our clock.
        expires_at: when it ends, by AWS's word; may lie in the past (stand-ins, a wrong clock).
        fraction: the share of its life after which it is renewed.
        jitter: from -1 to 1, drawn once per token.
        floor: the least time between two renewals, so that a token born expired does not spin.
    """
    life = expires_at - obtained_at
    return obtained_at + max(life * min(fraction * (1 + SPREAD * jitter), LATEST), floor)


def slack(obtained_at: datetime, expires_at: datetime, now: datetime, urgent_window: timedelta) -> timedelta:
    """How long a renewal that is due may be put off; zero in the token's last quarter, in `urgent_window`, and later.

    A clock that was set back lends no token more life than it was given.
    """
    life = expires_at - obtained_at
    return max(min(expires_at - now, life) - max(RESERVE * life, urgent_window), timedelta()) * LEEWAY


def expired(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and now >= expires_at


def severity_of_failing(expires_at: datetime, now: datetime, urgent_window: timedelta) -> Severity:
    """A failing renewal is an error in the last `urgent_window` of the token's life, before it a warning."""
    return Severity.ERROR if expires_at - now <= urgent_window else Severity.WARNING
