"""Prints the demo's lines on the terminal: the time, a label, and what happened."""

import re
import textwrap
import time
from collections.abc import Callable
from typing import Final, NamedTuple

_WIDTH: Final = 80
_LABEL: Final = 11
_MARGIN: Final = " " * (10 + _LABEL)
_COMMAND: Final = re.compile("`[^`]*`")
_NO_BREAK: Final = "\0"


class Remark(NamedTuple):
    """One line of output: a label of one or two words, what happened, and optionally what to do."""

    label: str
    text: str
    hint: str = ""


class Printer:
    """Prints remarks with the seconds since the start. `write` prints one or more lines."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write: Final = write
        self._started: Final = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def print(self, label: str, text: str, hint: str = "") -> None:
        self._write(render(self.elapsed_s, Remark(label, text, hint)))

    def add(self, *lines: str) -> None:
        """Print more lines for the last remark, without wrapping them."""
        for line in lines:
            self._write(_MARGIN + line)


def render(seconds: float, remark: Remark) -> str:
    """Format a remark in lines of at most 80 columns. Longer words and commands stay whole, to be copied."""
    lines = _wrap(remark.text, f"{seconds:6.1f} s  {remark.label:<{_LABEL}}", _MARGIN)
    return "\n".join(lines + _wrap(remark.hint, f"{_MARGIN}-> ", f"{_MARGIN}   "))


def _wrap(text: str, first: str, rest: str) -> list[str]:
    text = _COMMAND.sub(lambda command: command[0].replace(" ", _NO_BREAK), text)
    lines = textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]
