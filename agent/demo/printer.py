"""The demo's words on the terminal: a time, what it is about, what happened."""

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_WIDTH: Final = 80
_LABEL: Final = 11
_MARGIN: Final = " " * (10 + _LABEL)


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say: what it is about (a word or two), what happened, and where there is one, what to do."""

    label: str
    text: str
    hint: str = ""


class Printer:
    """Says remarks with the seconds since it began; `say` prints one or more lines."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._say: Final = write
        self._began: Final = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def print(self, label: str, text: str) -> None:
        self.remark(Remark(label, text))

    def remark(self, remark: Remark) -> None:
        self._say(render(self.elapsed_s, remark))

    def add(self, *lines: str) -> None:
        """Lines that belong to the last remark, as they are."""
        for line in lines:
            self._say(_MARGIN + line)


def render(seconds: float, remark: Remark) -> str:
    """One remark in lines of 80 columns at most, but for words that are longer than that."""
    lines = _wrap(remark.text, f"{seconds:6.1f} s  {remark.label:<{_LABEL}}", _MARGIN)
    return "\n".join(lines + _wrap(remark.hint, f"{_MARGIN}-> ", f"{_MARGIN}   "))


def _wrap(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
