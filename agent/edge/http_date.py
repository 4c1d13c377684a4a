"""Parses the dates in HTTP headers."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def parse_date(value: str | None) -> datetime | None:
    """Parse an HTTP date. A bare number is a `Retry-After` in seconds, and not a date."""
    if not value or value.strip().isdigit():
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
