"""Reads the journal of the agent's unit through systemd's journalctl."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from agent.edge.journal_line import JournalLine, JournalUnreadable
from agent.edge.process import ProcessTimeout, child_environment, run
from agent.edge.programs import search
from agent.model.text import printable

_LARGEST: Final = 16 << 20
_FIELDS: Final = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_PID"
_PERMISSION_ERRORS: Final = ("insufficient permissions", "not seeing messages", "permission denied")


async def read_journal(
    unit: str, environ: Mapping[str, str], *, since: datetime | None = None, lines: int, timeout: float
) -> list[JournalLine]:
    """Return the last `lines` entries about `unit`, its own and systemd's, oldest first, at most 16 MiB.

    Raises JournalUnreadable without journalctl, a journal or permission, or if there is no answer within `timeout`
    seconds.
    """
    try:
        program = await search("journalctl", environ.get("PATH"), timeout)
    except OSError as fault:  # TimeoutError is one
        raise JournalUnreadable(f"journalctl cannot be searched for: {fault.strerror or 'PATH hangs'}") from fault
    if program is None:
        raise JournalUnreadable("journalctl is not installed")
    # --reverse: if the output is cut, the oldest entries are lost. No --quiet: it hides a missing permission.
    args = [str(program), "--no-pager", "--reverse", "--output=json", f"--output-fields={_FIELDS}", "--all"]
    args += [f"--unit={unit}", f"--lines={lines}", *([f"--since=@{int(since.timestamp())}"] if since else [])]
    try:
        done = await run(args, env=child_environment(environ), timeout=timeout, limit=_LARGEST)
    except ProcessTimeout:
        raise JournalUnreadable(f"journalctl did not end within {timeout:g} s") from None
    except OSError as fault:
        raise JournalUnreadable(f"journalctl cannot be started: {fault.strerror}") from fault
    entries = [*_parse(done.stdout)][::-1]
    errors = done.stderr.decode(errors="replace")
    if not entries and any(words in errors.lower() for words in _PERMISSION_ERRORS):
        raise JournalUnreadable("this user may not read it (root and the groups adm and systemd-journal may)")
    if not entries and done.returncode:
        raise JournalUnreadable(f"journalctl reports: {printable(errors, 200)}")
    return entries


def _parse(output: bytes) -> Iterator[JournalLine]:
    """Parse the entries. Skip those that are not valid, such as one that was cut at the end of `output`."""
    for line in output.split(b"\n"):
        try:
            entry = json.loads(line)
            time = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000, UTC)
            priority = int(entry.get("PRIORITY", 6))
            yield JournalLine(time, priority, _text(entry.get("SYSLOG_IDENTIFIER")), _text(entry["MESSAGE"]))
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError, AttributeError):
            continue


def _text(value: Any) -> str:
    """Return a field as text. journalctl prints text, a list of bytes, or a list of all values of the field."""
    if isinstance(value, list) and all(isinstance(byte, int) for byte in value):
        return bytes(byte & 0xFF for byte in value).decode(errors="replace")
    if isinstance(value, list) and value:
        return _text(value[0])
    return value if isinstance(value, str) else ""
