"""Undoes the escapes in which a text may repeat a secret, and reduces a text to what no escape changes."""

import base64
import codecs
import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final, Literal
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
_ASCII_LETTERS: Final = {code: chr(code).lower() if chr(code).isalnum() else None for code in range(128)}
_ASCII_LOWER: Final = {code: code + 32 for code in range(65, 91)}
_LETTERS: Final = re.compile(r"[A-Za-z0-9]+|[^\x00-\x7f]")
_BLANK: Final = re.compile(rf"\s+|{CONTROL.pattern}")
_VISIBLE: Final = re.compile(rf"(?:(?!{CONTROL.pattern.removesuffix('+')})\S)+")
_CUT: Final = re.compile(r"…|\.{3}")
_MOST_LEVELS: Final = 5
"""JSON in JSON in a URL has three."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{20,}")
"""Shorter base64 holds no JSON with a password, `{"password":"x"}`."""
_BASE64_DIGITS: Final = str.maketrans("-_", "+/")
_MOST_BASE64: Final = 2
"""Base64 in base64, as in a Kubernetes secret that holds a login of Docker."""
_TEXT: Final = re.compile(r"(?:[\t\n\r -~]|[\xc2-\xf4][\x80-\xbf]{1,3}){9,}")
_MARKS: Final = re.compile(r"(?:(?!\w)[^\x00-\x7f]){30}")


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
    """Yield the text as it is, and after each round of decoding: escapes, and then base64, which may hold escapes."""
    level = yield from _unescaped(Level(text, range(len(text) + 1)))
    for _ in range(_MOST_BASE64):
        decoded = _decoded(level, _BASE64, _decode_base64)
        if decoded is level:
            return
        level = yield from _unescaped(decoded)


def escape_levels(text: str) -> Iterator[Level]:
    """Yield the text as it is, and after each round of undoing escapes."""
    yield from _unescaped(Level(text, range(len(text) + 1)))


def skeleton(text: str) -> str:
    """Return the letters and digits, in lower case and without accents.

    Blanks, line wraps and the Unicode form make no difference. Neither does the case: a host in a URL loses it.
    """
    if text.isascii():
        return text.translate(_ASCII_LETTERS)
    # Accents on their own go first. Python sorts a run of them in quadratic time.
    decomposed = unicodedata.normalize("NFKD", _NOT_LETTERS.sub("", text))
    return _NOT_LETTERS.sub("", decomposed.casefold())


def normalized(form: Literal["NFC", "NFD"], text: str) -> str:
    """Return a Unicode form of the text. It stays as it is with more accents in a row than any language has."""
    return text if _MARKS.search(text) else unicodedata.normalize(form, text)


def without_blanks(text: str) -> str:
    """Return the text in lower case, without blanks, line breaks and characters that `printable` replaces."""
    return lower(_BLANK.sub("", text))


def lower(text: str) -> str:
    """Return the text with small ASCII letters. Each character keeps its position."""
    return text.translate(_ASCII_LOWER)


def _unescaped(level: Level) -> Generator[Level, None, Level]:
    """Yield the level, and each further one until no escape is left. Return the last one."""
    yield level
    for _ in range(_MOST_LEVELS):
        # The quick look first: most texts have no escapes.
        if _ESCAPE_SIGN.search(level.text) is None or _ESCAPE.search(level.text) is None:
            break
        level = _decoded(level, _ESCAPE, _decode)
        yield level
    return level


def _decoded(level: Level, pattern: re.Pattern[str], decode: Callable[[re.Match[str]], str]) -> Level:
    pieces: list[str] = []
    starts: list[int] = []
    position = 0
    for escape in pattern.finditer(level.text):
        decoded = decode(escape)
        if decoded == escape[0]:
            continue
        pieces += [level.text[position : escape.start()], decoded]
        starts += level.starts[position : escape.start()]
        starts += [level.starts[escape.start()]] * len(decoded)
        position = escape.end()
    if not pieces:
        return level
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


def _decode_base64(run: re.Match[str]) -> str:
    """Return the text in it, or the run itself if there is none, as in most paths and digests."""
    digits = run[0].translate(_BASE64_DIGITS)
    # What stands before the base64, such as a directory, may consist of its digits too. So it begins at any of four.
    readable = max((_readable(digits[start:]) for start in range(4)), key=len)
    return readable.encode("latin-1").decode(errors="replace") if readable else run[0]


def _readable(digits: str) -> str:
    """The parts of the decoded bytes that look like text, with one character for each byte."""
    whole = digits[: len(digits) - (len(digits) % 4 == 1)]
    return "\n".join(_TEXT.findall(base64.b64decode(whole + "=" * (-len(whole) % 4)).decode("latin-1")))
