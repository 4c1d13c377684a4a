"""Formats the status document for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.cli.terminal import BOLD, GREEN, RED, YELLOW, Terminal, counted, text
from agent.model.problem import fault_key

Json = Mapping[str, Any]

_COLUMNS: Final = (10, 11, 17)
"""The widths of a registry's state, end and next step. The rest of the line is for its name."""
_GAP: Final = "  "
_MOST_SEVERE_FIRST: Final = ("error", "warning", "notice")
_COLOURS: Final = {
    **dict.fromkeys(("error", "rejected", "expired"), RED),
    **dict.fromkeys(("degraded", "warning", "retrying", "starting", "stopping"), YELLOW),
    **dict.fromkeys(("all is well", "logged in"), GREEN),
}
_OWNERS: Final = {
    "user": ("action needed", "ACTION NEEDED"),
    "admin": (
        "admin action needed",
        "ADMIN ACTION NEEDED (admins of the platform, the registry or the cloud account)",
    ),
    "nobody": ("the agent is retrying", "NO ACTION NEEDED: THE AGENT IS RETRYING"),
}
"""For each value of a warning's `needs`: the words for the first line, and the title of its group of warnings."""
_NOTICES: Final = "GOOD TO KNOW"
_NO_SECRETS: Final = "no registry secret was found: there is no registry to log in to, so pulls are anonymous"


def status_lines(terminal: Terminal, document: Json) -> list[str]:
    """Return the whole status. A line is wider than the terminal only if a single word or command is."""
    now = moment(document.get("now"))
    parts = [_head(terminal, document), _table(terminal, document, now), _warnings(terminal, document, now)]
    return [line for part in parts for line in part]


def alarm(terminal: Terminal, message: str) -> str:
    """Return one line in the colour of errors, shortened to the terminal's width."""
    return terminal.painted(_cut(text(message), terminal.width), RED)


def _head(terminal: Terminal, document: Json) -> Iterator[str]:
    verdict = _verdict(document)
    yield from _marked(terminal, verdict, f"{_headline(document, verdict)}: {text(document.get('summary'))}")
    environment = document.get("environment", {})
    facts = [
        f"environment {text(environment.get('id'))}",
        f"user {text(environment.get('user'))}",
        f"agent {text(document.get('version'))}, up {duration(timedelta(seconds=document.get('uptime_s', 0)))}",
        _docker(document.get("tools", {})),
    ]
    clock = document.get("clock", {})
    if clock.get("jumps"):
        last = relative(clock.get("last_jump_at"), moment(document.get("now")))
        facts.append(f"clock jumped {counted(clock['jumps'], 'time')}, last {last}")
    yield from terminal.wrapped(" · ".join(facts))


def _docker(tools: Json) -> str:
    docker = tools.get("docker", {})
    if docker.get("flavor") == "podman":
        return f"podman {text(tools.get('podman', {}).get('version') or '?')}"
    if not docker.get("present"):
        return "no docker"
    return f"docker {text(docker.get('version') or '?')}, engine {text(docker.get('engine'))}"


def _marked(terminal: Terminal, word: str, line: str, indent: str = "", first: str = "") -> Iterator[str]:
    """Wrap the line, and paint the word that its colour is about."""
    head, *more = terminal.wrapped(line, indent, first=first)
    yield head.replace(word, terminal.painted(word, _COLOURS.get(word)), 1)
    yield from more


def _table(terminal: Terminal, document: Json, now: datetime | None) -> Iterator[str]:
    rows: list[Json] = document.get("registries", [])
    if not rows:
        if document.get("phase") == "running":
            yield from ("", *terminal.wrapped(_NO_SECRETS))
        return
    longest = max(len(title) for title in ("REGISTRY", *(text(row.get("hostname")) for row in rows)))
    width = min(terminal.room - sum(_COLUMNS) - len(_COLUMNS) * len(_GAP), longest)
    yield from ("", _row(terminal, width, "REGISTRY", "STATE", "ENDS", "NEXT"))
    # A row shows its last error only if no warning below shows the same.
    explained = {warning.get("subject") for warning in document.get("warnings", [])}
    for row in rows:
        host = text(row.get("hostname"))
        if len(host) > width:
            yield _cut(host, terminal.width)
            host = ""
        yield _row(terminal, width, host, text(row.get("state")).replace("_", " "), _ends(row, now), _next(row, now))
        if row.get("last_error") and row.get("hostname") not in explained:
            yield from terminal.wrapped(text(row["last_error"]), "  ")


def _row(terminal: Terminal, width: int, *cells: str) -> str:
    state = cells[1]
    line = _GAP.join(cell.ljust(size) for cell, size in zip(cells, (width, *_COLUMNS), strict=True)).rstrip()
    begin = width + len(_GAP)
    return f"{line[:begin]}{terminal.painted(state, _COLOURS.get(state))}{line[begin + len(state) :]}"


def _warnings(terminal: Terminal, document: Json, now: datetime | None) -> Iterator[str]:
    warnings: list[Json] = document.get("warnings", [])
    groups = {title: [w for w in warnings if _acting(w) == owner] for owner, (_, title) in _OWNERS.items()}
    groups[_NOTICES] = [w for w in warnings if _acting(w) is None]
    for title, group in groups.items():
        if group:
            yield ""
            yield from (terminal.painted(line, BOLD) for line in terminal.wrapped(title))
        faults: dict[object, list[Json]] = {}
        for warning in sorted(group, key=_severity_rank):
            faults.setdefault(_fault(warning), []).append(warning)
        for alike in faults.values():
            yield from _warning(terminal, alike, now)


def _fault(warning: Json) -> object:
    """Return a key that is equal for the same fault of several registries."""
    texts = (str(warning.get(name)) for name in ("severity", "code", "message", "hint"))
    return fault_key(str(warning.get("subject") or ""), *texts)


def _warning(terminal: Terminal, alike: Sequence[Json], now: datetime | None) -> Iterator[str]:
    """Show a fault once, with all registries that have it."""
    warning = alike[0]
    subjects = [text(each.get("subject")) for each in alike]
    named = subjects[0] in text(warning.get("message"))
    severity = text(warning.get("severity"))
    yield from _marked(terminal, severity, f"{severity}: {text(warning.get('message'))}", "    ", "  ")
    yield from terminal.wrapped(f"→ {text(warning.get('hint'))}", "      ", first="    ")
    if subjects[named:]:
        lead = "the same for" if named else "concerns"
        yield from terminal.wrapped(f"{lead} {', '.join(subjects[named:])}", "    ", break_words=True)
    yield from terminal.wrapped(_history(warning, now), "    ")


def moment(value: object) -> datetime | None:
    """Parse an RFC 3339 time; None if it is null or cannot be parsed."""
    try:
        time = datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
    # Without a time zone, it could not be compared with the others.
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)


def relative(value: object, now: datetime | None) -> str:
    """Return the time relative to `now`, such as `in 11 h` or `5 min ago`; `-` for null."""
    then = moment(value)
    if then is None or now is None:
        return "-"
    return f"in {duration(then - now)}" if then > now else f"{duration(now - then)} ago"


def duration(span: timedelta) -> str:
    """Return the duration in the largest unit that fits at least twice, such as `119 s` or `2 min`."""
    seconds = max(span.total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _verdict(document: Json) -> str:
    """Return the first words of the status: the condition, or the phase while the agent starts or stops."""
    condition, phase = text(document.get("condition")), text(document.get("phase"))
    if condition != "healthy":
        return condition
    return "all is well" if phase == "running" else phase


def _headline(document: Json, verdict: str) -> str:
    """Return the verdict, followed by who has to act, or by what the agent is doing."""
    if document.get("phase") == "stopping":
        return f"{verdict}, the agent is shutting down"
    acting = {_acting(warning) for warning in document.get("warnings", [])}
    # Where a person has to act, the headline leaves out that the agent retries the rest: the group's title shows it.
    if acting & {"user", "admin"}:
        acting.discard("nobody")
    parts = [verdict, *(words for owner, (words, _) in _OWNERS.items() if owner in acting)]
    if document.get("phase") == "starting":
        parts.append("the first pass is still running")
    return ", ".join(parts)


def _acting(warning: Json) -> str | None:
    """Return who has to act, or None for a notice, which does not affect the condition.

    A value that this version does not know counts as `user`, so the reader sees it first.
    """
    needs = warning.get("needs")
    if warning.get("severity") == "notice":
        return None
    return needs if needs in _OWNERS else "user"


def _ends(row: Json, now: datetime | None) -> str:
    if row.get("expires_at"):
        return relative(row["expires_at"], now)
    return "never" if row.get("state") == "logged_in" else "-"


def _next(row: Json, now: datetime | None) -> str:
    if row.get("attempting"):
        return "trying now"
    if row.get("next_attempt_at"):
        return f"tries {_soon(row['next_attempt_at'], now)}"
    return f"renews {_soon(row['renew_at'], now)}" if row.get("renew_at") else ""


def _soon(value: object, now: datetime | None) -> str:
    """Return a time in the future, or `now` where it has passed and the agent is about to act."""
    words = relative(value, now)
    return words if words.startswith("in ") else "now"


def _severity_rank(warning: Json) -> int:
    severity = warning.get("severity")
    return _MOST_SEVERE_FIRST.index(severity) if severity in _MOST_SEVERE_FIRST else len(_MOST_SEVERE_FIRST)


def _history(warning: Json, now: datetime | None) -> str:
    count = warning.get("count", 1)
    repeated = f", seen {count} times" if count > 1 else ""
    began = moment(warning.get("first_seen"))
    lasts = f", for {duration(now - began)}" if now and began else ""
    return f"({text(warning.get('code'))}{lasts}{repeated})"


def _cut(host: str, width: int) -> str:
    """Shorten a name in the middle, which matters least."""
    if len(host) <= width:
        return host
    front = width // 2
    return f"{host[:front]}…{host[front + 1 - width :]}"
