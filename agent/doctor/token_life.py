"""The check when a token expires."""

from datetime import datetime

from agent.doctor.check import Check, from_problem, passed, skipped
from agent.model.plan import Login
from agent.model.problems.stored_login import TokenExpired
from agent.model.renewal import expired
from agent.model.status import rfc3339


def check_expiry(login: Login, expires_at: datetime | None, now: datetime, *, hint: str) -> Check:
    """The result for a token that expires then; `hint` is for one that has expired."""
    if expires_at is None:
        return skipped("token life", "the token does not show when it expires")
    if expired(expires_at, now):
        message = f"the token of secret {login.secret.name} expired at {rfc3339(expires_at)}"
        return from_problem("token life", TokenExpired(login.registry.hostname, message, hint=hint))
    hours = (expires_at - now).total_seconds() / 3600
    return passed("token life", f"expires at {rfc3339(expires_at)}, in {hours:.1f} h")
