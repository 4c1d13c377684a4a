"""`registry-agent status --watch` on a terminal: redraws the status in place until Ctrl-C.

It overwrites the lines and never clears the screen, which would flicker.
"""

import contextlib
import math
import os
import shutil
import signal
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Final, NoReturn

from agent.cli.status import Document, documents
from agent.cli.status_view import alarm, duration, status_lines
from agent.cli.terminal import Terminal
from agent.edge.agent_client import AgentClient, AgentUnavailable

_REFRESH_S: Final = 1.0
"""How often to ask for the document even if nothing changes, so that its times go on."""
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
"""Switches to the alternate screen, so that the terminal's former content comes back at the end; hides the cursor."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"
_STDOUT: Final = 1


def watch(agent: AgentClient, document: Document) -> None:
    """Draw until Ctrl-C. Standard output must be a terminal."""
    picture = _Picture(document)
    with _full_screen(picture.draw):
        picture.draw()
        for newer in documents(agent, picture.unanswered, hold_s=_REFRESH_S):
            picture.answered(newer)


class _Picture:
    """Draws the newest document, and why the agent does not answer."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._since = time.monotonic()
        self._why = ""

    def answered(self, document: Document) -> None:
        self._document, self._since, self._why = document, time.monotonic(), ""
        self.draw()

    def unanswered(self, error: AgentUnavailable) -> None:
        self._why = str(error).partition(";")[0]
        self.draw()

    def draw(self) -> None:
        """Draw as many lines as the terminal has room for."""
        terminal, lasts = Terminal.of_stdout(), duration(timedelta(seconds=time.monotonic() - self._since))
        outage = [alarm(terminal, f"no answer for {lasts}: {self._why}"), ""] if self._why else []
        lines = [*outage, *status_lines(terminal, self._document)]
        lines = [*_fitting(terminal, lines), "", "press Ctrl-C to quit"]
        _write(_HOME + "\r\n".join(_over_earlier(terminal, line) for line in lines) + _REST_OF_SCREEN)


def _fitting(terminal: Terminal, lines: Sequence[str]) -> Sequence[str]:
    """Return the lines that fit above the last two, and how many do not. The terminal wraps a line that is too wide."""
    room = max(shutil.get_terminal_size((80, 24)).lines - 2, 1)
    ends = [*accumulate(max(math.ceil(terminal.columns(line) / terminal.width), 1) for line in lines)]
    if ends[-1] <= room:
        return lines
    shown = sum(end < room for end in ends)
    return [*lines[:shown], f"… and {len(lines) - shown} more lines: make the terminal taller"]


def _over_earlier(terminal: Terminal, line: str) -> str:
    """Return the line with the code that clears what an earlier picture left behind it.

    At the end of a full row, the cursor is still on the last character, and the code would clear that.
    """
    columns = terminal.columns(line)
    return line if columns and columns % terminal.width == 0 else line + _REST_OF_LINE


def _write(text: str) -> None:
    # Not through a buffer: a resize may interrupt one picture, and then draws the next.
    os.write(_STDOUT, text.encode(errors="replace"))


@contextlib.contextmanager
def _full_screen(redraw: Callable[[], None]) -> Iterator[None]:
    """Switch the terminal to the alternate screen, without echo and cursor, and restore it at the end.

    A new size of the terminal causes a `redraw`.
    """
    before = termios.tcgetattr(_STDOUT)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    # A stopped process would leave its picture to the shell, so Ctrl-Z does nothing.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):  # the last one is Ctrl-\
        signal.signal(number, _end)
    signal.signal(signal.SIGWINCH, lambda *_: redraw())
    try:
        termios.tcsetattr(_STDOUT, termios.TCSADRAIN, silent)
        _write(_ENTER)
        yield
    finally:
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            _write(_LEAVE)
            termios.tcsetattr(_STDOUT, termios.TCSAFLUSH, before)


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt
