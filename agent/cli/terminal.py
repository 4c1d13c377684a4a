"""What all commands print on: a width, colours, wrapped lines, and text from outside that cannot drive the terminal."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from textwrap import wrap
from typing import Final, Self

from agent.model.problem import LONGEST_HINT
from agent.model.text import CONTROL, printable
from agent.model.variables import wants_colours

BOLD, DIM, RED, GREEN, YELLOW = 1, 2, 31, 32, 33
_NARROWEST: Final = 60
_COMMAND: Final = re.compile("`[^`]*`")
_NO_BREAK: Final = "\0"
"""Stands for the blanks of a command while lines are wrapped. No text that is shown contains it."""
_COLOUR: Final = re.compile(r"\x1b\[\d+m")


@dataclass(frozen=True, slots=True)
class Terminal:
    """Formats lines of at most `width` columns, unless a single word or command is wider."""

    width: int = 80
    colours: bool = False

    @classmethod
    def of_stdout(cls) -> Self:
        colours = sys.stdout.isatty() and wants_colours(os.environ)
        return cls(shutil.get_terminal_size((80, 24)).columns, colours)

    @property
    def room(self) -> int:
        """The columns that lines may use. A narrower terminal wraps them itself."""
        return max(self.width, _NARROWEST)

    def wrapped(
        self, words: str, indent: str = "", *, first: str | None = None, break_words: bool = False
    ) -> list[str]:
        """Return `words` as lines. All begin with `indent`, but the first one begins with `first` if that is given.

        A command in back quotes stays on one line. A shell would run each piece as a command of its own.
        """
        begin = indent if first is None else first
        lines = wrap(
            _COMMAND.sub(lambda command: command[0].replace(" ", _NO_BREAK), words),
            self.room,
            initial_indent=begin,
            subsequent_indent=indent,
            break_long_words=break_words and "`" not in words,
            break_on_hyphens=False,
        )
        return [line.replace(_NO_BREAK, " ") for line in lines] or [begin.rstrip()]

    def columns(self, line: str) -> int:
        """Return how many columns a line takes. The codes of its colours take none."""
        return len(_COLOUR.sub("", line))

    def painted(self, words: str, code: int | None) -> str:
        return f"\x1b[{code}m{words}\x1b[0m" if self.colours and code else words


def text(value: object, limit: int = LONGEST_HINT) -> str:
    """Return outside text without control characters, so that it cannot drive the terminal; `-` for null.

    No hint of an agent is longer than the default limit, so none of its commands is cut off.
    """
    return "-" if value is None else printable(str(value), limit)


def escaped(document: str) -> str:
    """Escape control characters in JSON, which the terminal would obey: another user's agent may send anything."""
    return CONTROL.sub(lambda match: "".join(c if c == "\n" else f"\\u{ord(c):04x}" for c in match[0]), document)


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
