"""The history of the logins in the last day. It holds only changes, so retries do not push them out."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.model.status import rfc3339
from agent.model.text import printable

FIXED_FIELDS: Final = frozenset({"time", "level", "event", "code", "needs"})
"""The fields whose values are the agent's own names. They are never redacted: a password may be such a word."""
_KEPT: Final = 500
_DAY: Final = timedelta(days=1)
_TEXT: Final = 300
_ITEMS: Final = 10
_FIELDS: Final[Mapping[str, Sequence[str]]] = {
    "agent.starting": ("version",),
    "secrets.changed": ("added", "removed", "changed"),
    "warning.raised": ("code", "subject", "message", "needs"),
    "warning.cleared": ("code", "subject"),
    "login.succeeded": ("registry", "stored_in", "expires_at"),
    "login.expired": ("registry",),
    "login.removed": ("registry",),
    "login.restored": ("registry", "stored_in"),
    "clock.jumped": ("seconds",),
}
"""The events that are kept, and the fields of each. `log.level` does not matter."""


class Timeline:
    """The last 500 such events, at most about 150 KB."""

    def __init__(self, scrub: Callable[[str], str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._scrub: Final = scrub
        self._now: Final = now
        self._kept: Final[deque[tuple[datetime, str]]] = deque(maxlen=_KEPT)

    def note(self, level: str, event: Mapping[str, Any]) -> None:
        """Keep the event if it is one of `_FIELDS`. Any thread may call this."""
        name = event.get("event", "")
        fields = _FIELDS.get(name)
        if fields is None:
            return
        now = self._now()
        # Redacted when it is kept, because the secret may be forgotten before somebody reads this.
        kept = {
            field: event.get(field)
            if field in FIXED_FIELDS
            else plain(event.get(field), self._scrub, longest=_TEXT, items=_ITEMS)
            for field in fields
        }
        line = json.dumps({"time": rfc3339(now), "level": level, "event": name, **kept}, ensure_ascii=False)
        self._kept.append((now, line))

    def recent(self) -> list[str]:
        """Return the events of the last 24 hours as JSON lines, oldest first."""
        since = self._now() - _DAY
        # A copy, because another thread may add an event meanwhile.
        return [line for at, line in tuple(self._kept) if at >= since]


def plain(value: object, scrub: Callable[[str], str], *, longest: int, items: int) -> object:
    """Return a value of an event as JSON data.

    Each string is redacted on its own. In the finished line, redacting a secret such as `,` would break the JSON.
    """
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return rfc3339(value)
        case dict():
            return {name: plain(item, scrub, longest=longest, items=items) for name, item in value.items()}
        case list() | tuple():
            more = [f"and {len(value) - items} more"] if len(value) > items else []
            return [*(plain(item, scrub, longest=longest, items=items) for item in value[:items]), *more]
    return scrub(printable(str(value), longest))
