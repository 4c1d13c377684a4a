"""`registry-agent status --watch` on a terminal: one picture that is drawn over, never cleared, until `q` or Ctrl-C."""

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
"""The other screen, so that what was on this one is there again afterwards; and no cursor."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"
_STOPS: Final = frozenset(b"qQ")

Document = dict[str, Any]


class Latest:
    """The newest document, asked for in a thread, since the terminal must not wait for the agent."""

    def __init__(self, agent: AgentClient, document: Document) -> None:
        self._agent: Final = agent
        self._document = document
        self._heard = time.monotonic()
        self._silence: tuple[float, str] | None = None
        reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self.news: Final = reading
        """A descriptor that can be read from when there is something new."""
        threading.Thread(target=self._follow, name="status", daemon=True).start()

    def now(self) -> tuple[Document, str | None]:
        """The document, its clock advanced to this moment; and why there is no newer one, if nobody answers."""
        document, passed = self._document, time.monotonic() - self._heard
        began = moment(document.get("now"))
        if began is not None:
            uptime = document.get("uptime_s", 0) + passed
            document = {**document, "now": rfc3339(began + timedelta(seconds=passed)), "uptime_s": uptime}
        silence = self._silence
        if silence is None:
            return document, None
        since, why = silence
        return document, f"no answer for {duration(timedelta(seconds=time.monotonic() - since))}: {why}"

    def _follow(self) -> None:
        since: int | None = self._document["revision"]
        while True:
            try:
                newer = self._agent.status(_HOLD_S + _ANSWER_S, since=since, wait_s=_HOLD_S)
                self._document, self._heard, self._silence = newer, time.monotonic(), None
                since = newer["revision"]
            except (AgentNotRunning, AgentNotResponding, LookupError) as fault:
                why = str(fault).partition(";")[0]
                self._silence = (self._silence[0] if self._silence else time.monotonic(), why)
                since = None
                time.sleep(_PAUSE_S)
            with contextlib.suppress(BlockingIOError):
                os.write(self._writing, b"x")


def watch(agent: AgentClient, document: Document) -> None:
    """Draw until `q` or Ctrl-C. Standard output is a terminal; where standard input is none, only Ctrl-C ends it."""
    latest = Latest(agent, document)
    drawn = ""
    with _own_screen() as (keys, resized):
        while True:
            picture = _picture(*latest.now())
            if picture != drawn:
                _write(picture)
                drawn = picture
            ready, _, _ = select.select([latest.news, resized, *keys], [], [], _TICK_S)
            typed = [os.read(descriptor, 4096) for descriptor in ready if descriptor in keys]
            if any(not some or _STOPS.intersection(some) for some in typed):
                return
            for descriptor in set(ready) - set(keys):
                os.read(descriptor, 4096)
                drawn = "" if descriptor == resized else drawn


def _picture(document: Document, silence: str | None) -> str:
    """As many lines as the terminal has, each with what is to be wiped behind it."""
    columns, rows = shutil.get_terminal_size((80, 24))
    view = View(columns, not os.environ.get("NO_COLOR"))
    lines = [*([view.alarm(silence), ""] if silence else []), *view.lines(document)]
    room = max(rows - 2, 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"… and {len(lines) - room + 1} lines more: make the terminal higher"]
    lines += ["", "q ends"]
    return _HOME + "\r\n".join(line + _REST_OF_LINE for line in lines) + _REST_OF_SCREEN


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextlib.contextmanager
def _own_screen() -> Iterator[tuple[list[int], int]]:
    """The terminal as a picture wants it, as it was before at the end, however it ends, and while it is stopped.

    Gives the descriptors on which keys come, and one that says that the size has changed.
    """
    resized, told = os.pipe()
    os.set_blocking(told, False)
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
            os.write(told, b"x")

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
    except (AttributeError, ValueError):  # there is none, or it was closed
        return False
