"""The forms of a secret that decoding a text does not undo: base64, hexadecimal, its lines, its Unicode forms."""

import base64
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from agent.model.text import CONTROL
from agent.observe.decoding import RUN, escape_levels, normalized, skeleton

_SHORTEST_SECRET: Final = 4
_LONGEST: Final = 16 << 10
"""No message is longer. Of a longer secret, the beginning and each line are masked."""
_LONGEST_ORDINARY: Final = 15
_LONGEST_NUMBER: Final = 4
"""A year, a port or a status."""
_WORD: Final = re.compile(r"[^\W_]+")
_ASCII_RUN: Final = re.compile(r"[\x00-\x7f]+")


class Edges(NamedTuple):
    """The punctuation before the first letter or digit of a secret, and after the last one."""

    head: str = ""
    tail: str = ""


class Forms(NamedTuple):
    """All forms of one secret: skeletons, and literal texts for what is too short for one."""

    skeletons: frozenset[tuple[str, Edges]]
    literals: frozenset[str]


def forms_of(value: str) -> Forms:
    skeletons: set[tuple[str, Edges]] = set()
    literals: set[str] = set()
    for piece in dict.fromkeys(_pieces(value)):
        for text, rest in ((piece, ""), *_encodings(piece)):
            bare = skeleton(text)
            if len(bare) >= RUN:
                head, tail = _edges(text)
                skeletons.add((bare, Edges(head, tail + rest)))
            elif text == piece:
                literals |= {piece, *_spellings(piece)}
            elif len(text) >= RUN:
                literals.add(text)
    return Forms(frozenset(skeletons), frozenset(literals - {""}))


def is_ordinary(value: str) -> bool:
    """Whether the agent's own messages can contain the secret by chance, such as `login` or `2026`.

    Masking it there would hide what people need to read, and would show what the secret is.
    """
    stripped = value.strip()
    if len(stripped) < _SHORTEST_SECRET:
        return True
    if len(stripped) > _LONGEST_ORDINARY:
        return False
    words = _WORD.findall(stripped.lower())
    digits = sum(len(word) for word in words if word.isdigit())
    if not words or digits > _LONGEST_NUMBER:
        return False
    return all(word.isdigit() or f" {word} " in _own_words() for word in words)


@cache
def _own_words() -> str:
    """The words of the agent's own source. It is read only if a secret consists of plain words.

    They are one text with blanks between them, because a set would take half a megabyte.
    """
    words: set[str] = set()
    for path in Path(__file__).parent.parent.rglob("*.py"):
        words.update(_WORD.findall(path.read_text(errors="replace").lower()))
    return f" {' '.join(words)} "


def _pieces(value: str) -> Iterator[str]:
    """The secret, without blanks around it, as it is after decoding, and each of its long lines."""
    beginning = value[:_LONGEST]
    yield beginning
    yield beginning.strip()
    yield from (level.text for level in escape_levels(beginning) if len(level.text) >= _SHORTEST_SECRET)
    if not beginning.isascii():
        yield from _misread(beginning)
    # A key in JSON has its line breaks as escapes.
    lines = value.replace("\\n", "\n").splitlines()
    if len(lines) > 1:
        yield from (line[:_LONGEST].strip() for line in lines if len(skeleton(line)) >= RUN)


def _misread(text: str) -> Iterator[str]:
    """The secret as a program shows it that takes it for another character set, or loses what is not ASCII."""
    misread = [_bytes(text).decode(charset, "replace") for charset in ("latin-1", "cp1252")]
    misread += [raw.decode(errors="replace") for raw in _latin_1(text)]
    runs = _ASCII_RUN.findall(text)
    misread += [run for run in ("".join(runs), *runs) if len(skeleton(run)) >= RUN]
    # The letters that are left may be a word such as `password`, which the agent's own messages contain.
    yield from (each for each in misread if len(skeleton(each)) < RUN or not is_ordinary(each))


def _edges(text: str) -> Edges:
    text = text.strip()
    words = [*_WORD.finditer(text)]
    return Edges(text[: words[0].start()], text[words[-1].end() :]) if words else Edges()


def _spellings(text: str) -> Iterator[str]:
    yield CONTROL.sub(" ", text)  # as `printable` shows it
    yield text.replace(" ", "+")  # in the query of a URL
    yield shlex.quote(text)[1:-1]
    yield normalized("NFC", text)
    yield normalized("NFD", text)


def _encodings(text: str) -> Iterator[tuple[str, str]]:
    """The forms that decoding does not undo, and what may follow each if the secret is at the end."""
    for raw in {_bytes(text), _bytes(normalized("NFC", text)), _bytes(normalized("NFD", text)), *_latin_1(text)}:
        yield raw.hex(), ""
        # Base64 encodes three bytes at a time, so inside `user:password` the secret begins at one of three offsets.
        for encode, shift in product((base64.b64encode, base64.urlsafe_b64encode), range(3)):
            encoded = encode(bytes(shift) + raw).decode()
            # The first and the last character may also encode bits of the neighbors, so they differ.
            end = (shift + len(raw)) * 8 // 6
            yield encoded[(shift * 8 + 5) // 6 : end], encoded[end:]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _latin_1(text: str) -> Iterator[bytes]:
    """What a program sends that knows only this character set."""
    with suppress(UnicodeEncodeError):
        yield text.encode("latin-1")
