"""Secrets that resemble no other text, and the search for pieces of them in any notation."""

import base64
import html
import json
import re
import secrets
import string
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final
from urllib.parse import quote

_ALPHABET: Final = string.ascii_letters + string.digits
_PIECE: Final = 8
_STEP: Final = 3
_SHARED: Final = 5
CUT: Final = 12
"""Number of characters of a secret before the limit at which its text may be cut."""
SPECIAL: Final = '+/"ü&%'


@dataclass(frozen=True, slots=True)
class Canary:
    """`value` has two long plain runs around characters that each notation escapes differently."""

    name: str
    value: str

    @classmethod
    def make(cls, name: str, special: str = SPECIAL, begin: str = "") -> "Canary":
        halves = ("".join(secrets.choice(_ALPHABET) for _ in range(16)) for _ in range(2))
        return cls(name, begin + special.join(halves))

    def pieces(self) -> frozenset[bytes]:
        """Return pieces so that any 10 characters in a row, plain or in base64 at any alignment, contain one."""
        raw = self.value.encode()
        runs = [run.encode() for run in re.findall(r"[A-Za-z0-9]{8,}", self.value)]
        for shift in range(3):
            encoded = base64.b64encode(bytes(shift) + raw)[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6]
            runs += [encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))]
        pieces = frozenset(run[n : n + _PIECE] for run in runs for n in _starts(len(run)))
        return frozenset(piece for piece in pieces if not _is_shared(piece))


def _is_shared(piece: bytes) -> bool:
    """Return whether most of the piece is base64 of the middle that all canaries share."""
    middle = SPECIAL.encode()
    shared = [base64.b64encode(bytes(shift) + middle)[(shift * 8 + 5) // 6 :] for shift in range(3)]
    shared += [form.translate(bytes.maketrans(b"+/", b"-_")) for form in shared]
    return any(piece[n : n + _SHARED] in form for n in range(_PIECE - _SHARED + 1) for form in shared)


def _starts(length: int) -> set[int]:
    return {*range(0, length - _PIECE + 1, _STEP), length - _PIECE}


class Hunt:
    """Searches for canaries. A finding has the canary's name, the place, and the text around it."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._names: Final = {_number(piece): canary.name for canary in canaries for piece in canary.pieces()}

    def found(self, places: Mapping[str, bytes]) -> list[str]:
        found: list[str] = []
        for place, content in _each_once(places).items():
            first = {self._names[number]: number for number in sorted(self._names.keys() & _numbers(content))}
            found += [f"{name} in {place}: {_around(content, _piece(number))!r}" for name, number in first.items()]
        return found


def _number(piece: bytes) -> int:
    return int.from_bytes(piece, sys.byteorder)


def _piece(number: int) -> bytes:
    return number.to_bytes(_PIECE, sys.byteorder)


def _numbers(content: bytes) -> Iterator[int]:
    """Yield each piece of `content` as a number. A file can have many megabytes, and `array` reads numbers in C."""
    ends = (len(content) - (len(content) - start) % _PIECE for start in range(_PIECE))
    return chain.from_iterable(array("Q", content[start:end]) for start, end in enumerate(ends))


def _each_once(places: Mapping[str, bytes]) -> dict[str, bytes]:
    """Keep one place for each content. All children have the same environment, so it is reported once."""
    return {place: content for content, place in {content: place for place, content in places.items()}.items()}


def _around(content: bytes, piece: bytes) -> bytes:
    at = content.find(piece)
    return content[max(at - 120, 0) : at + 60]


def nasty_texts(canary: Canary, user: str) -> dict[str, str]:
    """Return texts of a program or server that repeat a secret: in each notation, and at each limit for texts."""
    secret = canary.value
    texts = {
        "raw": f"wrong: {secret} is not it",
        "unseen": f"wrong: {secret} is not it",
        "json": f"error {json.dumps(secret)}",
        "json-unicode": f"error {json.dumps(secret, ensure_ascii=False)}",
        "url": f"https://x/?p={quote(secret, safe='')}",
        "html": f"<p>{html.escape(secret)}</p>",
        "base64": base64.b64encode(secret.encode()).decode(),
        "basic": f"Authorization: Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}",
        "basic-url": base64.urlsafe_b64encode(f"{user}:{secret}".encode()).decode(),
        "after-dots": f"first… then… {'y' * 100} {secret} … end",
    }
    # The lengths to which the agent cuts texts, and those of the first cut, before it drops unprintable characters.
    for limit in (160, 200, 300, 600, 65536):
        texts[f"cut-{limit}"] = "x" * (limit - CUT) + secret
    for limit in (160, 200, 300):
        texts[f"dots-and-cut-{limit}"] = "w…" + "x" * (limit - CUT - 2) + secret
    for limit in (640, 800, 1200, 2400):
        texts[f"collapsed-{limit}"] = "\x01" * (limit - CUT) + secret
    texts["flood-65536"] = ("x\n" * 65536)[: 65536 - CUT - 1] + f"\n{secret}"
    return texts
