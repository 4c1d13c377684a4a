"""Undoes the escapes in which a text may repeat a secret, and reduces a text to what no escape changes."""

import codecs
import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final
from urllib.parse import unquote

from agent.model.text import CONTROL

RUN: Final = 6
"""A secret with fewer letters and digits is searched as it is: without its punctuation it would be in any text."""
# Each alternative consumes all that it looks at, so the search takes linear time.
_ESCAPE: Final = re.compile(
    r"(?:%[0-9A-Fa-f]{2})+"  # URLs
    r"|(?P<bytes>(?:\\x[0-9A-Fa-f]{2}|\\[0-3][0-7]{2})+)"  # Go, Python, shells
    r"|(?P<units>(?:\\u[0-9A-Fa-f]{4})+)|\\U[0-9A-Fa-f]{8}|\\[abfnrtv]"  # JSON, Go, Python
    r"|(?P<doubled>(?:\\\\)+)|(?P<quoted>\\[^A-Za-z0-9])"
    r"|&(?:\#[0-9]{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"  # HTML and XML
)
_ESCAPE_SIGN: Final = re.compile(r"[%\\&]")
_NOT_LETTERS: Final = re.compile(r"[\W_]+")
_NOT_ASCII_LETTERS: Final = dict.fromkeys(code for code in range(128) if not chr(code).isalnum())
_LETTERS: Final = re.compile(r"[A-Za-z0-9]+|[^\x00-\x7f]")
_BLANK: Final = re.compile(rf"\s+|{CONTROL.pattern}")
_VISIBLE: Final = re.compile(rf"(?:(?!{CONTROL.pattern.removesuffix('+')})\S)+")
_CUT: Final = re.compile(r"…|\.{3}")
_MOST_LEVELS: Final = 5
"""JSON in JSON in a URL has three."""


class Reduced:
    """A reduced text. `cuts` has the length of the part before each mark of a cut."""

    def __init__(self, original: str, reduce: Callable[[str], str], kept: re.Pattern[str]) -> None:
        parts = [reduce(part) for part in _CUT.split(original)]
        self.text: Final = "".join(parts)
        self.cuts: Final = [*accumulate(map(len, parts[:-1]))]
        self._original: Final = original
        self._reduce: Final = reduce
        self._kept: Final = kept

    @cached_property
    def positions(self) -> list[int]:
        """The position of each character in the original text. Only a text that contains a secret needs it."""
        positions: list[int] = []
        for match in self._kept.finditer(self._original):
            start, end = match.span()
            size = len(self._reduce(match[0]))
            # One character may stand for several, as in a ligature.
            positions += range(start, end) if size == end - start else [start] * size
        return positions


@dataclass(frozen=True)
class Level:
    """A text after some rounds of decoding. `starts` has the position of each character in the original text."""

    text: str
    starts: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original positions of `text[start:end]`. All characters of one escape have the same position."""
        return self.starts[start], self.starts[bisect_right(self.starts, self.starts[end - 1])]

    @cached_property
    def letters(self) -> Reduced:
        return Reduced(self.text, skeleton, _LETTERS)

    @cached_property
    def visible(self) -> Reduced:
        return Reduced(self.text, without_blanks, _VISIBLE)


def levels(text: str) -> Iterator[Level]:
    """Yield the text as it is, and after each round of decoding."""
    level = Level(text, range(len(text) + 1))
    yield level
    for _ in range(_MOST_LEVELS):
        # The quick look first: most texts have no escapes.
        if _ESCAPE_SIGN.search(level.text) is None or _ESCAPE.search(level.text) is None:
            return
        level = _decoded(level)
        yield level


def skeleton(text: str) -> str:
    """Return the letters and digits, without accents. Blanks, line wraps and the Unicode form make no difference."""
    if text.isascii():
        return text.translate(_NOT_ASCII_LETTERS)
    return _NOT_LETTERS.sub("", unicodedata.normalize("NFKD", text))


def without_blanks(text: str) -> str:
    """Return the text without blanks, line breaks and characters that `printable` replaces."""
    return _BLANK.sub("", text)


def _decoded(level: Level) -> Level:
    pieces: list[str] = []
    starts: list[int] = []
    position = 0
    for escape in _ESCAPE.finditer(level.text):
        decoded = _decode(escape)
        pieces += [level.text[position : escape.start()], decoded]
        starts += level.starts[position : escape.start()]
        starts += [level.starts[escape.start()]] * len(decoded)
        position = escape.end()
    return Level("".join([*pieces, level.text[position:]]), [*starts, *level.starts[position:]])


def _decode(escape: re.Match[str]) -> str:
    text = escape[0]
    if escape["doubled"] or escape["quoted"]:
        return text[1::2]
    if text[0] == "%":
        return unquote(text, errors="replace")
    if text[0] == "&":
        return html.unescape(text)
    try:
        decoded = codecs.decode(text, "unicode_escape")
    except ValueError:  # beyond the last character of Unicode
        return ""
    if escape["bytes"]:
        return decoded.encode("latin-1").decode(errors="replace")
    # JSON writes a character beyond U+FFFF as two.
    return decoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if escape["units"] else decoded
