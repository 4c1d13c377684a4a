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
from collections.abc import Iterator
from datetime import timedelta
from typing import Final, NoReturn

from agent.cli.status import Document, documents
from agent.cli.status_view import alarm, duration, status_lines
from agent.cli.terminal import Terminal
from agent.edge.agent_client import AgentClient, AgentUnavailable

_LOOK_S: Final = 0.2
"""How often to look for keys, changes and a new size of the terminal."""
_REFRESH_S: Final = 1.0
"""How often to ask for the document even if nothing changes, so that its times go on."""
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
"""Switches to the alternate screen, so that the terminal's former content comes back at the end; hides the cursor."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"
_STOPS: Final = frozenset(b"qQ")


def watch(agent: AgentClient, document: Document) -> None:
    """Draw until `q` or Ctrl-C. Standard output must be a terminal; if standard input is not, only Ctrl-C ends it."""
    latest = _Latest(document)
    # In a thread, because the terminal must not wait for the agent.
    threading.Thread(target=latest.follow, args=(agent,), name="status", daemon=True).start()
    drawn = None
    with _full_screen() as keyboard:
        while True:
            picture = shutil.get_terminal_size(), _picture(latest.document, latest.outage)
            if picture != drawn:
                _write(picture[1])
                drawn = picture
            if select.select(keyboard, [], [], _LOOK_S)[0]:
                typed = os.read(keyboard[0], 4096)
                if not typed or _STOPS.intersection(typed):  # nothing typed means that standard input has ended
                    return


class _Latest:
    """Holds the newest document, and why the agent does not answer."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._since = time.monotonic()
        self._why = ""

    @property
    def outage(self) -> str | None:
        lasts = duration(timedelta(seconds=time.monotonic() - self._since))
        return f"no answer for {lasts}: {self._why}" if self._why else None

    def follow(self, agent: AgentClient) -> None:
        for document in documents(agent, self._unanswered, hold_s=_REFRESH_S):
            self.document, self._since, self._why = document, time.monotonic(), ""

    def _unanswered(self, error: AgentUnavailable) -> None:
        self._why = str(error).partition(";")[0]


def _picture(document: Document, outage: str | None) -> str:
    """Return as many lines as the terminal has. Each line also clears what an earlier picture left behind it."""
    terminal = Terminal.of_stdout()
    lines = [*([alarm(terminal, outage), ""] if outage else []), *status_lines(terminal, document)]
    room = max(shutil.get_terminal_size((80, 24)).lines - 2, 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"… and {len(lines) - room + 1} more lines: make the terminal taller"]
    lines += ["", "press q to quit"]
    return _HOME + "\r\n".join(line + _REST_OF_LINE for line in lines) + _REST_OF_SCREEN


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextlib.contextmanager
def _full_screen() -> Iterator[list[int]]:
    """Switch the terminal to the alternate screen, without line buffering and cursor, and restore it at the end.

    Yields:
        The descriptor to read keys from, or nothing if standard input is not a terminal.
    """
    keyboard = [0] if os.isatty(0) else []
    before = [termios.tcgetattr(descriptor) for descriptor in keyboard]
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
