"""Decides when to renew a token, and how urgent that is. Pure functions of the token's times and `now`."""

from datetime import datetime, timedelta
from typing import Final

from agent.model.problem import Severity

# The maximum jitter, as a share of `renewal.fraction`. It keeps a fleet from renewing at the same moment.
SPREAD: Final = 0.1
# A token is renewed before this share of its life has passed, whatever `renewal.fraction` and the jitter are.
LATEST: Final = 0.95
# The last share of a token's life. In it, a due renewal is not deferred any more.
RESERVE: Final = 0.25
# The share of the time until then by which a due renewal may be deferred.
# For a 12-hour token that is half used, this is half an hour. Environments without a token are then served first.
SLACK_SHARE: Final = 1 / 6
# When a source is asked again that does not show when its token expires.
REPEAT: Final = timedelta(hours=12)
# Google's metadata servers keep a token until at least 4 minutes before its end. Google's own libraries ask then.
RESERVE_OF_METADATA: Final = timedelta(seconds=225)
# The wait before the next request, if the source may still give the same token. The jitter makes it 15 to 30 s.
SAME_AGAIN: Final = timedelta(seconds=22.5)


def renew_at(
    obtained_at: datetime,
    expires_at: datetime | None,
    *,
    fraction: float,
    jitter: float,
    floor: timedelta,
    reserve: timedelta | None = None,
) -> datetime:
    """Return the time to renew a token.

    Args:
        obtained_at: when it was issued, by our clock.
        expires_at: as its source reports it: None if it does not, and maybe in the past (AWS emulators, a wrong clock).
        fraction: the share of its life after which it is renewed.
        jitter: from -1 to 1, chosen at random once per token.
        floor: the minimum time between two renewals. Without it, a token that is expired from the start would loop.
        reserve: how long before its end the source surely gives another token, if not at each request.
    """
    spread = 1 + SPREAD * jitter
    if expires_at is None:
        return obtained_at + REPEAT * spread
    if reserve is not None:
        return max(expires_at - reserve, obtained_at + max(SAME_AGAIN * (1 + jitter / 3), floor))
    life = expires_at - obtained_at
    return obtained_at + max(life * min(fraction * spread, LATEST), floor)


def must_be_new(obtained_at: datetime, expires_at: datetime, now: datetime) -> bool:
    """Whether a token is so close to its end that its source must give another one by now.

    Many sources keep a token until shortly before its end. So giving the same one again is no failure before that.
    """
    return now - obtained_at >= (expires_at - obtained_at) * LATEST


def slack(obtained_at: datetime, expires_at: datetime, now: datetime, urgent_window: timedelta) -> timedelta:
    """Return how long a due renewal may be deferred: zero in the token's last quarter and in `urgent_window`."""
    life = expires_at - obtained_at
    # `min`: if the clock was set back, the token still does not live longer than it was issued for.
    return max(min(expires_at - now, life) - max(RESERVE * life, urgent_window), timedelta()) * SLACK_SHARE


def expired(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and now >= expires_at


def severity_of_failing(expires_at: datetime, now: datetime, urgent_window: timedelta) -> Severity:
    """Return the severity of a failing renewal: error in the last `urgent_window` of the token's life, else warning."""
    return Severity.ERROR if expires_at - now <= urgent_window else Severity.WARNING
