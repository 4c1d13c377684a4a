"""Inputs that are almost valid: seeds that are cut, doubled or mixed, with extra words and odd bytes."""

from collections.abc import Callable
from random import Random
from typing import Final

from tests.fuzz.target import SIZE, Target

_ODD: Final = (
    b"\0",
    b"\n",
    b"\r\n",
    b"\x1b[31m",
    b"\x7f",
    b"\xff",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\u0000",
    b"\xd9\xa1",
    b"\xc4\xb0",
    b"%00",
    b"%0a",
    b"-1",
    b"0",
    b"99999999999999999999",
    b"1e999",
    b"NaN",
    b'"',
    b"\\",
    b"{}",
    b"[]",
    b"null",
    b"true",
    b" ",
    b":",
    b"/",
    b"@",
    b".",
    b"..",
)
_LARGEST: Final = 4096
_MOST: Final = 8


def mutated(target: Target, random: Random) -> bytes:
    """Return one input."""
    data = random.choice(target.seeds)
    for _ in range(random.randrange(_MOST)):
        data = random.choice(_WAYS)(data, target, random)
    return data[:_LARGEST]


def pumped(word: bytes, other: bytes = b"") -> bytes:
    """Return 64 KB of `word` repeated, between two times `other`. It reveals parsers that take quadratic time."""
    return other + word * (SIZE // len(word)) + other


def _insert(data: bytes, target: Target, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice((*target.words, *_ODD)) + data[at:]


def _cut(data: bytes, _: Target, random: Random) -> bytes:
    begin, end = _span(data, random)
    return data[:begin] + data[end:]


def _double(data: bytes, _: Target, random: Random) -> bytes:
    begin, end = _span(data, random)
    return data[:end] + data[begin:end] * random.choice((1, 1, 2, 20)) + data[end:]


def _replace(data: bytes, target: Target, random: Random) -> bytes:
    begin, end = _span(data, random)
    return data[:begin] + random.choice((*target.words, *_ODD)) + data[end:]


def _byte(data: bytes, _: Target, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _mix(data: bytes, target: Target, random: Random) -> bytes:
    other = random.choice(target.seeds)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _span(data: bytes, random: Random) -> tuple[int, int]:
    begin = random.randrange(len(data) + 1)
    return begin, min(len(data), begin + random.choice((1, 2, 8, 64)))


_WAYS: Final[tuple[Callable[[bytes, Target, Random], bytes], ...]] = (_insert, _cut, _double, _replace, _byte, _mix)
