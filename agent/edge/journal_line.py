"""What the journal gives, and whose it is."""

from dataclasses import dataclass
from datetime import datetime


class JournalUnreadable(Exception):  # noqa: N818 - a fact, and for most who ask no error
    """Nothing can be had from it; the text says why."""


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One entry. `time` is aware and in UTC, `priority` syslog's (0 to 7), `message` as it was written."""

    time: datetime
    priority: int
    program: str
    message: str


def unit_of(user: str) -> str:
    return f"registry-agent@{user}.service"
