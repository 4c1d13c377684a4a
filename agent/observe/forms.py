"""The forms of a secret that decoding a text does not undo: base64, hexadecimal, its lines, its Unicode forms."""

import base64
import re
import shlex
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from agent.model.text import CONTROL
from agent.observe.decoding import RUN, levels, skeleton

_SHORTEST_SECRET: Final = 4
_LONGEST: Final = 16 << 10
"""No message is longer. Of a longer secret, the beginning and each line are masked."""
_LONGEST_ORDINARY: Final = 15
_WORD: Final = re.compile(r"[^\W_]+")


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
    return all(word.isdigit() or f" {word} " in _own_words() for word in _WORD.findall(stripped.lower()))


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
    yield from (level.text for level in levels(beginning) if len(level.text) >= _SHORTEST_SECRET)
    # A key in JSON has its line breaks as escapes.
    lines = value.replace("\\n", "\n").splitlines()
    if len(lines) > 1:
        yield from (line[:_LONGEST].strip() for line in lines if len(skeleton(line)) >= RUN)


def _edges(text: str) -> Edges:
    text = text.strip()
    words = [*_WORD.finditer(text)]
    return Edges(text[: words[0].start()], text[words[-1].end() :]) if words else Edges()


def _spellings(text: str) -> Iterator[str]:
    yield CONTROL.sub(" ", text)  # as `printable` shows it
    yield text.replace(" ", "+")  # in the query of a URL
    yield shlex.quote(text)[1:-1]
    yield from (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))


def _encodings(text: str) -> Iterator[tuple[str, str]]:
    """The forms that decoding does not undo, and what may follow each if the secret is at the end."""
    for form in {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}:
        raw = form.encode("utf-8", "surrogatepass")
        yield raw.hex(), ""
        yield raw.hex().upper(), ""
        # Base64 encodes three bytes at a time, so inside `user:password` the secret begins at one of three offsets.
        for encode, shift in product((base64.b64encode, base64.urlsafe_b64encode), range(3)):
            encoded = encode(bytes(shift) + raw).decode()
            # The first and the last character may also encode bits of the neighbors, so they differ.
            end = (shift + len(raw)) * 8 // 6
            yield encoded[(shift * 8 + 5) // 6 : end], encoded[end:]
