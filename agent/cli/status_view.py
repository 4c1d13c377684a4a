"""Formats the status document for a terminal."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Any, Final

from agent.model.text import printable

Json = Mapping[str, Any]

_STATE: Final = 10
_ENDS: Final = 11
_NEXT: Final = 17
_GAP: Final = 2
_NARROWEST: Final = 60
_MOST_SEVERE_FIRST: Final = ("error", "warning", "notice")
_PAINT: Final = {
    **dict.fromkeys(("error", "rejected", "expired"), 31),
    **dict.fromkeys(("degraded", "warning", "retrying", "starting", "stopping"), 33),
    **dict.fromkeys(("all is well", "logged in"), 32),
}
_BOLD: Final = 1
_WELL: Final = "all is well"
_OWNERS: Final = {
    "user": ("action needed", "ACTION NEEDED"),
    "admin": (
        "admin action needed",
        "ADMIN ACTION NEEDED (admins of the platform, the registry or the AWS account)",
    ),
    "nobody": ("the agent is retrying", "NO ACTION NEEDED: THE AGENT IS RETRYING"),
}
"""For each value of a warning's `needs`: the words for the first line, and the title of its group of warnings."""
_NOTICES: Final = "GOOD TO KNOW"
_NO_SECRETS: Final = "no registry secret was found: there is no registry to log in to, so pulls are anonymous"


@dataclass(frozen=True, slots=True)
class View:
    """Formats documents for a terminal of `width` columns, with or without colours."""

    width: int = 80
    colours: bool = False

    def lines(self, document: Json) -> list[str]:
        """Return the whole status. A line is wider than the terminal only if a single word is."""
        now = moment(document.get("now"))
        parts = [self._head(document), self._table(document, now), self._warnings(document, now)]
        return [line for part in parts for line in part]

    def alarm(self, message: str) -> str:
        """Return one line in the colour of errors, shortened to the terminal's width."""
        return self._code(_cut(text(message), self.width), _PAINT["error"])

    def _head(self, document: Json) -> Iterator[str]:
        verdict = _verdict(document)
        first, *more = self._wrapped(f"{_headline(document, verdict)}: {text(document.get('summary'))}", "")
        yield first.replace(verdict, self._painted(verdict), 1)
        yield from more
        environment, docker = document.get("environment", {}), document.get("tools", {}).get("docker", {})
        engine = f"docker {text(docker.get('version') or '?')}, engine {text(docker.get('engine'))}"
        clock = document.get("clock", {})
        facts = [
            f"environment {text(environment.get('id'))}",
            f"user {text(environment.get('user'))}",
            f"agent {text(document.get('version'))}, up {duration(timedelta(seconds=document.get('uptime_s', 0)))}",
            engine if docker.get("present") else "no docker",
        ]
        if clock.get("jumps"):
            last = relative(clock.get("last_jump_at"), moment(document.get("now")))
            facts.append(f"clock jumped {counted(clock['jumps'], 'time')}, last {last}")
        yield from self._wrapped(" · ".join(facts), "")

    def _table(self, document: Json, now: datetime | None) -> Iterator[str]:
        rows: list[Json] = document.get("registries", [])
        if not rows:
            if document.get("phase") == "running":
                yield ""
                yield from self._wrapped(_NO_SECRETS, "")
            return
        hosts = self._host_width(text(row.get("hostname")) for row in rows)
        yield ""
        yield self._row("REGISTRY", "STATE", "ENDS", "NEXT", hosts)
        # A row shows its last error only if no warning below shows the same.
        explained = {warning.get("subject") for warning in document.get("warnings", [])}
        for row in rows:
            host = text(row.get("hostname"))
            if len(host) > hosts:
                yield _cut(host, self.width)
                host = ""
            yield self._row(host, text(row.get("state")).replace("_", " "), _ends(row, now), _next(row, now), hosts)
            if row.get("last_error") and row.get("hostname") not in explained:
                yield from self._wrapped(text(row["last_error"]), "  ")

    def _host_width(self, hosts: Iterable[str]) -> int:
        room = max(self.width, _NARROWEST) - _STATE - _ENDS - _NEXT - 3 * _GAP
        return min(room, max(len("REGISTRY"), *map(len, hosts)))

    def _row(self, host: str, state: str, ends: str, following: str, hosts: int) -> str:
        gap = " " * _GAP
        painted = self._painted(state) + " " * max(_STATE - len(state), 0)
        return gap.join([host.ljust(hosts), painted, ends.ljust(_ENDS), following]).rstrip()

    def _warnings(self, document: Json, now: datetime | None) -> Iterator[str]:
        warnings = document.get("warnings", [])
        for owner, (_, title) in _OWNERS.items():
            yield from self._group(title, [w for w in warnings if _affects_condition(w) and _owner(w) == owner], now)
        yield from self._group(_NOTICES, [w for w in warnings if not _affects_condition(w)], now)

    def _group(self, title: str, warnings: list[Json], now: datetime | None) -> Iterator[str]:
        if not warnings:
            return
        yield ""
        for line in self._wrapped(title, ""):
            yield self._code(line, _BOLD)
        for warning in sorted(warnings, key=_severity_rank):
            severity = text(warning.get("severity"))
            first, *more = self._wrapped(f"{severity}: {text(warning.get('message'))}", "    ", first="  ")
            yield first.replace(severity, self._painted(severity), 1)
            yield from more
            yield from self._wrapped(f"→ {text(warning.get('hint'))}", "      ", first="    ")
            yield from self._wrapped(_history(warning, now), "    ")

    def _wrapped(self, line: str, indent: str, *, first: str | None = None) -> list[str]:
        return wrap(
            line,
            max(self.width, _NARROWEST),
            initial_indent=indent if first is None else first,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]

    def _painted(self, word: str) -> str:
        return self._code(word, _PAINT.get(word))

    def _code(self, words: str, code: int | None) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if self.colours and code else words


def text(value: object) -> str:
    """Return outside text without control characters, so that it cannot drive the terminal; `-` for null."""
    return "-" if value is None else printable(str(value), 700)


def moment(value: object) -> datetime | None:
    """Parse an RFC 3339 time; None if it is null or cannot be parsed."""
    try:
        return datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None


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


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _verdict(document: Json) -> str:
    """Return the first words of the status: the condition, or the phase while the agent starts or stops."""
    condition, phase = text(document.get("condition")), text(document.get("phase"))
    if condition != "healthy":
        return condition
    return _WELL if phase == "running" else phase


def _headline(document: Json, verdict: str) -> str:
    """Return the verdict, followed by who has to act, or by what the agent is doing."""
    if document.get("phase") == "stopping":
        return f"{verdict}, the agent is shutting down"
    owners = [_owner(warning) for warning in document.get("warnings", []) if _affects_condition(warning)]
    present = [words for owner, (words, _) in _OWNERS.items() if owner in owners]
    # Where a person has to act, the headline leaves out that the agent retries the rest: the group's title shows it.
    acting = [words for owner, (words, _) in _OWNERS.items() if owner in owners and owner != "nobody"] or present
    parts = [verdict, *acting]
    if document.get("phase") == "starting":
        parts.append("the first pass is still running")
    return ", ".join(parts)


def _affects_condition(warning: Json) -> bool:
    """Return whether the warning makes the condition worse than healthy."""
    return warning.get("severity") != "notice"


def _owner(warning: Json) -> str:
    """Return who has to act. A value that this version does not know counts as `user`, so the reader sees it first."""
    needs = warning.get("needs")
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
