"""`registry-agent status --watch` on a terminal: redraws the status in place until the user presses `q` or Ctrl-C.

It overwrites the lines and never clears the screen, which would flicker.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final, NoReturn

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


def watch(agent: AgentClient, document: Document) -> None:
    """Draw until `q` or Ctrl-C. Standard output must be a terminal; if standard input is not, only Ctrl-C ends it."""
    awake, wake = socket.socketpair()
    wake.setblocking(False)
    latest = _Latest(agent, document, wake)
    with _full_screen(wake) as keyboard:
        while True:
            _write(_picture(*latest.now()))
            ready, _, _ = select.select([awake.fileno(), *keyboard], [], [], _TICK_S)
            if awake.fileno() in ready:
                awake.recv(4096)
            if set(keyboard) & set(ready):
                typed = os.read(keyboard[0], 4096)
                if not typed or _STOPS.intersection(typed):  # nothing typed means that standard input has ended
                    return


class _Latest:
    """Holds the newest document. A thread asks for it, because the terminal must not wait for the agent."""

    def __init__(self, agent: AgentClient, document: Document, wake: socket.socket) -> None:
        self._agent: Final = agent
        self._document = document
        self._received_at = time.monotonic()
        self._outage: tuple[float, str] | None = None
        """Since when the agent does not answer, and why."""
        self._wake: Final = wake
        threading.Thread(target=self._follow, name="status", daemon=True).start()

    def now(self) -> tuple[Document, str | None]:
        """Return the document with its clock advanced to now, and the reason if the agent does not answer."""
        document, passed = self._document, time.monotonic() - self._received_at
        began = moment(document.get("now"))
        if began is not None:
            uptime = document.get("uptime_s", 0) + passed
            document = {**document, "now": rfc3339(began + timedelta(seconds=passed)), "uptime_s": uptime}
        if self._outage is None:
            return document, None
        since, why = self._outage
        return document, f"no answer for {duration(timedelta(seconds=time.monotonic() - since))}: {why}"

    def _follow(self) -> None:
        since: int | None = self._document["revision"]
        while True:
            try:
                newer = self._agent.status(_HOLD_S + _ANSWER_S, since=since, wait_s=_HOLD_S)
                since = newer["revision"]
                self._document, self._received_at, self._outage = newer, time.monotonic(), None
            except (AgentNotRunning, AgentNotResponding, LookupError) as error:
                why = str(error).partition(";")[0]
                self._outage = (self._outage[0] if self._outage else time.monotonic(), why)
                since = None  # the next answer comes at once, and ends this message
                time.sleep(_PAUSE_S)
            with contextlib.suppress(BlockingIOError):  # it is full, so the reader wakes up anyway
                self._wake.send(b"x")


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
def _full_screen(wake: socket.socket) -> Iterator[list[int]]:
    """Switch the terminal to the alternate screen, without line buffering and cursor, and restore it at the end.

    Yields:
        The descriptor to read keys from, or nothing if standard input is not a terminal.
    """
    keyboard = [0] if os.isatty(0) else []
    before = [termios.tcgetattr(descriptor) for descriptor in keyboard]
    # Python writes a byte to `wake` for each signal it handles. So a resize redraws at once.
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGWINCH, lambda *_: None)
    # A stopped process would leave its picture and its keyboard mode to the shell, so Ctrl-Z does nothing.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        for descriptor in keyboard:
            tty.setcbreak(descriptor)
        _write(_ENTER)
        yield keyboard
    finally:
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            _write(_LEAVE)
            for descriptor, attributes in zip(keyboard, before, strict=True):
                termios.tcsetattr(descriptor, termios.TCSADRAIN, attributes)


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt
