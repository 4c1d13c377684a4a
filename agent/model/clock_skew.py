"""Compares this machine's clock with the one of a cloud or a registry, as its answers show it."""

from datetime import datetime, timedelta
from typing import Final

from agent.model.docker_results import ProbeResult
from agent.model.problems.aws import ClockSkew

# AWS rejects signatures whose time is further off than this.
_TOLERANCE: Final = timedelta(minutes=5)
_MINUTE_S: Final = 60


def cloud_clock_skew(server_time: datetime | None, seen_at: datetime, issuer: str = "AWS") -> ClockSkew | None:
    """Return a problem if our clock differs from the cloud's (the Date of a reply) by more than AWS accepts."""
    return _clock_skew(issuer.lower(), f"{issuer}'s", server_time, seen_at)


def registry_clock_skew(probe: ProbeResult | None, hostname: str) -> ClockSkew | None:
    """Return a problem if our clock differs from the registry's by more than AWS accepts."""
    return _clock_skew(hostname, f"the clock of {hostname}", probe.server_time, probe.seen_at) if probe else None


def clock_distance(off: timedelta, whose: str) -> str:
    """Describe by how much our clock is off, against `whose` clock: positive if ours is ahead."""
    seconds = round(abs(off).total_seconds())
    amount = f"{seconds} s" if seconds < _MINUTE_S else f"{round(seconds / _MINUTE_S)} min"
    return f"this machine's clock is {amount} {'ahead of' if off > timedelta() else 'behind'} {whose}"


def _clock_skew(subject: str, whose: str, server_time: datetime | None, seen_at: datetime) -> ClockSkew | None:
    if server_time is None or abs(seen_at - server_time) <= _TOLERANCE:
        return None
    return ClockSkew(subject, clock_distance(seen_at - server_time, whose))
