"""`registry-agent status --watch` on a terminal: redraws the status in place until the user presses `q` or Ctrl-C.

It overwrites the lines and never clears the screen, which would flicker.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FrameType
from typing import Any, Final

from agent.cli.status_view import View, duration, moment
from agent.edge.agent_client import AgentClient, AgentNotResponding, AgentNotRunning
from agent.model.status import rfc3339

_HOLD_S: Final = 30.0
_ANSWER_S: Final = 10.0
_PAUSE_S: Final = 0.25
_TICK_S: Final = 1.0
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
"""Switches to the alternate screen, so that the terminal's former content comes back at the end; hides the cursor."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"
_STOPS: Final = frozenset(b"qQ")

Document = dict[str, Any]


class Latest:
    """Holds the newest document. A thread asks for it, because the terminal must not wait for the agent."""

    def __init__(self, agent: AgentClient, document: Document) -> None:
        self._agent: Final = agent
        self._document = document
        self._received_at = time.monotonic()
        self._outage: tuple[float, str] | None = None
        """Since when the agent does not answer, and why."""
        reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self.changed: Final = reading
        """A descriptor that becomes readable when there is a change to show."""
        threading.Thread(target=self._follow, name="status", daemon=True).start()

    def now(self) -> tuple[Document, str | None]:
        """Return the document with its clock advanced to now, and the reason if the agent does not answer."""
        document, passed = self._document, time.monotonic() - self._received_at
        began = moment(document.get("now"))
        if began is not None:
            uptime = document.get("uptime_s", 0) + passed
            document = {**document, "now": rfc3339(began + timedelta(seconds=passed)), "uptime_s": uptime}
        outage = self._outage
        if outage is None:
            return document, None
        since, why = outage
        return document, f"no answer for {duration(timedelta(seconds=time.monotonic() - since))}: {why}"

    def _follow(self) -> None:
        since: int | None = self._document["revision"]
        while True:
            try:
                newer = self._agent.status(_HOLD_S + _ANSWER_S, since=since, wait_s=_HOLD_S)
                self._document, self._received_at, self._outage = newer, time.monotonic(), None
                since = newer["revision"]
            except (AgentNotRunning, AgentNotResponding, LookupError) as error:
                why = str(error).partition(";")[0]
                self._outage = (self._outage[0] if self._outage else time.monotonic(), why)
                since = None  # a restarted agent counts its revisions from 0
                time.sleep(_PAUSE_S)
            with contextlib.suppress(BlockingIOError):  # the pipe is full, so the reader wakes up anyway
                os.write(self._writing, b"x")


def watch(agent: AgentClient, document: Document) -> None:
    """Draw until `q` or Ctrl-C. Standard output must be a terminal; if standard input is not, only Ctrl-C ends it."""
    latest = Latest(agent, document)
    drawn = ""
    with _alternate_screen() as (keys, resized):
        while True:
            picture = _picture(*latest.now())
            if picture != drawn:
                _write(picture)
                drawn = picture
            ready, _, _ = select.select([latest.changed, resized, *keys], [], [], _TICK_S)
            typed = [os.read(descriptor, 4096) for descriptor in ready if descriptor in keys]
            if any(not some or _STOPS.intersection(some) for some in typed):  # nothing read means that stdin has ended
                return
            for descriptor in set(ready) - set(keys):
                os.read(descriptor, 4096)
                drawn = "" if descriptor == resized else drawn


def _picture(document: Document, outage: str | None) -> str:
    """Return as many lines as the terminal has. Each line also clears what an earlier picture left behind it."""
    columns, rows = shutil.get_terminal_size((80, 24))
    view = View(columns, not os.environ.get("NO_COLOR"))
    lines = [*([view.alarm(outage), ""] if outage else []), *view.lines(document)]
    room = max(rows - 2, 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"… and {len(lines) - room + 1} more lines: make the terminal taller"]
    lines += ["", "press q to quit"]
    return _HOME + "\r\n".join(line + _REST_OF_LINE for line in lines) + _REST_OF_SCREEN


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextlib.contextmanager
def _alternate_screen() -> Iterator[tuple[list[int], int]]:
    """Switch the terminal to the alternate screen without line buffering and cursor.

    Restores it at the end, however that comes, and while the process is stopped with Ctrl-Z.

    Yields:
        The descriptors to read keys from, and a descriptor that becomes readable when the terminal's size changes.
    """
    resized, notify = os.pipe()
    os.set_blocking(notify, False)
    keyboard = [sys.stdin.fileno()] if _is_keyboard() else []
    before = [termios.tcgetattr(descriptor) for descriptor in keyboard]

    def enter() -> None:
        for descriptor in keyboard:
            tty.setcbreak(descriptor)
        _write(_ENTER)

    def leave() -> None:
        _write(_LEAVE)
        for descriptor, attributes in zip(keyboard, before, strict=True):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, attributes)

    def redraw(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(notify, b"x")

    def stop(_number: int, _frame: FrameType | None) -> None:
        leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        enter()
        redraw(0, None)

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGWINCH: redraw,
        signal.SIGTSTP: stop,
        signal.SIGTERM: end,
        signal.SIGHUP: end,
    }
    former = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    enter()
    try:
        yield keyboard, resized
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone
            leave()
        for number, handler in former.items():
            signal.signal(number, handler)


def _is_keyboard() -> bool:
    try:
        return sys.stdin.isatty()
    except (AttributeError, ValueError):  # there is no standard input, or it was closed
        return False
