"""Reads numbers and times in JSON from outside. What is something else becomes None."""

import math
from datetime import UTC, datetime


def number(value: object) -> float | None:
    """Return a finite number. Many programs write it as a string."""
    # In Python, a bool is an int too.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def from_epoch(seconds: object) -> datetime | None:
    found = number(seconds)
    try:
        return None if found is None else datetime.fromtimestamp(found, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def from_rfc3339(text: object) -> datetime | None:
    """Return a time in UTC. Without a time zone, it could mean any of twenty-four."""
    try:
        # RFC 3339 allows a lower-case t and z, which Python does not read.
        found = datetime.fromisoformat(text.upper()) if isinstance(text, str) else None
        return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
