"""Parses times in HTTP headers."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_ASKED: Final = timedelta(hours=12)
"""The longest `Retry-After` that the agent obeys."""


def parse_date(value: str | None) -> datetime | None:
    """Parse an HTTP date. A bare number is a `Retry-After` in seconds, and not a date."""
    if not value or value.strip().isdigit():
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return the wait that `Retry-After` asks for, in seconds or until a date: 0 to 12 hours. None without one."""
    if value is not None and value.strip().isascii() and value.strip().isdigit():
        wait = timedelta(seconds=min(int(value.strip()[:9]), int(LONGEST_ASKED.total_seconds())))
    elif (date := parse_date(value)) is not None:
        wait = date - now
    else:
        return None
    return min(max(wait, timedelta()), LONGEST_ASKED)
