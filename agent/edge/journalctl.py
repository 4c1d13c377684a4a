"""The journal of the agent's unit, as systemd's journalctl gives it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from agent.edge.journal_line import JournalLine, JournalUnreadable
from agent.edge.process import ProcessTimeout, child_environment, run
from agent.edge.programs import find_program
from agent.model.text import printable

_LARGEST: Final = 16 << 20
_FIELDS: Final = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_PID"
_REFUSED: Final = ("insufficient permissions", "not seeing messages", "permission denied")


async def read_journal(
    unit: str, environ: Mapping[str, str], *, since: datetime | None = None, lines: int, timeout: float
) -> list[JournalLine]:
    """The last `lines` entries about `unit` (its own, and systemd's about it), oldest first, at most 16 MiB of them.

    Raises:
        JournalUnreadable: no journalctl, no journal, no right to read it, or no answer within `timeout` seconds.
    """
    program = await asyncio.to_thread(find_program, "journalctl", environ.get("PATH"))
    if program is None:
        raise JournalUnreadable("there is no journalctl here")
    # Backwards, so that what is too much is the oldest. Not --quiet: it would not say that we may not read it.
    args = [
        str(program),
        "--no-pager",
        "--reverse",
        "--output=json",
        f"--output-fields={_FIELDS}",
        "--all",
        f"--unit={unit}",
    ]
    args += [f"--lines={lines}", *([f"--since=@{int(since.timestamp())}"] if since else [])]
    try:
        done = await run(args, env=child_environment(environ), timeout=timeout, limit=_LARGEST)
    except ProcessTimeout:
        raise JournalUnreadable(f"journalctl does not end within {timeout:g} s") from None
    except OSError as fault:
        raise JournalUnreadable(f"journalctl does not start: {fault.strerror}") from fault
    found = [*_parsed(done.stdout)][::-1]
    said = done.stderr.decode(errors="replace")
    if not found and any(words in said.lower() for words in _REFUSED):
        raise JournalUnreadable("this user may not read it (root and the groups adm and systemd-journal may)")
    if not found and done.returncode:
        raise JournalUnreadable(f"journalctl says: {printable(said, 200)}")
    return found


def _parsed(output: bytes) -> Iterator[JournalLine]:
    """The entries that can be understood; one that was cut at the end of `output` cannot."""
    for line in output.split(b"\n"):
        try:
            entry = json.loads(line)
            time = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000, UTC)
            priority = int(entry.get("PRIORITY", 6))
            yield JournalLine(time, priority, _text(entry.get("SYSLOG_IDENTIFIER")), _text(entry["MESSAGE"]))
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError, AttributeError):
            continue


def _text(value: Any) -> str:
    """A field: a text, or the bytes of what is none, or a list of all that bear its name (`--output=json`)."""
    if isinstance(value, list) and all(isinstance(byte, int) for byte in value):
        return bytes(byte & 0xFF for byte in value).decode(errors="replace")
    if isinstance(value, list) and value:
        return _text(value[0])
    return value if isinstance(value, str) else ""
