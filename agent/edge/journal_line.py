"""An entry of the journal, and the error for a journal that cannot be read."""

from dataclasses import dataclass
from datetime import datetime


class JournalUnreadable(Exception):  # noqa: N818 - it states a fact, and most callers do not treat it as an error
    """The journal cannot be read. The text is the reason."""


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One entry. `time` is aware and in UTC, `priority` is that of syslog (0 to 7), `message` is unchanged."""

    time: datetime
    priority: int
    program: str
    message: str


def unit_of(user: str) -> str:
    """Return the name of the systemd service of the user's agent."""
    return f"registry-agent@{user}.service"
