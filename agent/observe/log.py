"""The log: structlog, then a queue and a writer thread. A reader that stalls never blocks the event loop."""

import contextlib
import json
import os
import queue
import sys
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import structlog
from structlog.typing import Processor, WrappedLogger

from agent.blocking import start_thread
from agent.model.text import CONTROL, printable
from agent.model.variables import wants_colours
from agent.observe.counters import Counters
from agent.observe.timeline import FIXED_FIELDS, Timeline, plain

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PRIORITY: Final = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>"}
KEPT: Final = 1000
_QUEUED: Final = 10_000
_LINE: Final = 40_000  # bytes; journald cuts lines at 48 KB
_TEXT: Final = 8000
_ITEMS: Final = 50
_FLUSH_S: Final = 0.5
_TRACEBACK: Final = "exception"


class Log:
    """Owns the sink. The rest of the agent writes to `logger`, and /v1/logs shows `recent`."""

    def __init__(self, level: str, style: str, scrub: Callable[[str], str], environ: Mapping[str, str]) -> None:
        # With an ASCII locale, other characters must not raise an error.
        with contextlib.suppress(AttributeError):  # stdout may be another kind of stream, as in tests
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a text stream has it
        self._scrub: Final = scrub
        self._environ: Final = environ
        self._recent: Final[deque[str]] = deque(maxlen=KEPT)
        self._writer: Final = _Writer(self._log_dropped)
        self.context: Final[dict[str, str]] = {}
        self.counters: Final = Counters()
        self.timeline: Final = Timeline(scrub)
        self.configure(level, style)
        self.logger: Final = structlog.wrap_logger(
            self._writer,
            processors=[self._filter, *_COMMON, self._add_context, self._render],
            # 0 passes every level: `_filter` also needs the events below `log.level`.
            wrapper_class=structlog.make_filtering_bound_logger(0),
            cache_logger_on_first_use=True,
        )

    @property
    def dropped(self) -> int:
        """The number of lines lost since the start because stdout did not accept them."""
        return self._writer.dropped

    def configure(self, level: str, style: str) -> None:
        """Set the level (`debug` to `error`) and the style (`json`, `console`, `auto`)."""
        self._level = LEVELS[level]
        terminal = sys.stdout.isatty()
        console = style == "console" or (style == "auto" and terminal)
        colors = terminal and wants_colours(self._environ)
        self._console = structlog.dev.ConsoleRenderer(colors=colors) if console else None
        self._prefixed = not console and _to_journal(self._environ)

    def recent(self, lines: int) -> list[str]:
        """Return the last events as JSON lines, oldest first, at `log.level` and above."""
        return list(self._recent)[-lines:] if lines > 0 else []

    def close(self) -> None:
        """Write the queued lines that stdout accepts within half a second."""
        self._writer.close()

    def _log_dropped(self, lines: int) -> None:
        self.logger.warning("log.dropped", lines=lines)

    def _filter(self, _: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        # Before the level filter: metrics and the timeline need every event.
        self.counters.count(event)
        self.timeline.note(method, event)
        if LEVELS.get(method, 0) < self._level:
            raise structlog.DropEvent
        return event

    def _add_context(self, _: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**event, **self.context}

    def _render(self, logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> str:
        ordered = {name: event.pop(name) for name in ("time", "level", "event")} | dict(event)
        clean = {
            name: value if name in FIXED_FIELDS else plain(value, self._scrub, longest=_TEXT, items=_ITEMS)
            for name, value in ordered.items()
        }
        # A traceback keeps its line breaks, so it is cleaned line by line.
        if isinstance(ordered.get(_TRACEBACK), str):
            # Redacted first, because it is cut at its beginning.
            clean[_TRACEBACK] = _lines(self._scrub(ordered[_TRACEBACK]))
        line = _as_json(clean)
        self._recent.append(line)
        if self._console is not None:
            return str(self._console(logger, method, dict(clean)))
        return _PRIORITY[method] + line if self._prefixed else line


def _lines(traceback: str) -> str:
    """Return the end of a traceback, its most useful part, without terminal control characters."""
    return "\n".join(CONTROL.sub(" ", line) for line in traceback[-_LINE // 4 :].split("\n"))


def _as_json(event: Mapping[str, object]) -> str:
    line = json.dumps(event, ensure_ascii=False)
    if len(line.encode()) <= _LINE:
        return line
    # Too long for journald: shorten the fields that take more than an equal share.
    room = _LINE // len(event)
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in event.items()}
    # A character may take four bytes.
    short = {
        name: event[name] if len(text.encode()) <= room else printable(text, room // 4) for name, text in texts.items()
    }
    return json.dumps(short, ensure_ascii=False)


_COMMON: Final[tuple[Processor, ...]] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.format_exc_info,
)


def _to_journal(environ: Mapping[str, str]) -> bool:
    """Whether stdout is the journal (systemd.exec(5), JOURNAL_STREAM). Only the journal understands `<4>` prefixes."""
    try:
        found = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class _Writer:
    """Accepts lines without waiting. Its own thread writes them."""

    def __init__(self, on_dropped: Callable[[int], None]) -> None:
        """The writer thread calls `on_dropped` with the number of lost lines, once there is room again."""
        self.dropped = 0
        self._on_dropped: Final = on_dropped
        self._queue: Final[queue.Queue[str | None]] = queue.Queue(_QUEUED)
        self._thread: Final = start_thread(self._write, "log")

    def msg(self, line: str) -> None:
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    debug = info = warning = error = msg

    def close(self) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(_FLUSH_S)

    def _write(self) -> None:
        reported = 0
        while (line := self._queue.get()) is not None:
            if self._print(line) and self.dropped > reported and self._queue.empty():
                reported = self.dropped
                self._on_dropped(reported)

    def _print(self, line: str) -> bool:
        """Write a line and return whether that worked. A full disk or a closed pipe must not end the thread."""
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            self.dropped += 1
            return False
        return True
