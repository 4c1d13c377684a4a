"""Finds known secrets in a text, in one pass whose cost does not grow with the number of secrets."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from agent.observe.decoding import RUN, Level, Reduced, without_blanks
from agent.observe.forms import Forms

_SURE: Final = 16
"""So many letters and digits of a secret are masked, even if the rest differs or is cut off."""
_CUT_PIECE: Final = 4
"""The shortest beginning of a secret that is masked before a mark of a cut."""
_END_PIECE: Final = 8
"""The same at the end of the text, where a program may have cut it without a mark."""

_MOST_OVERLAPS: Final = 64
"""More than so many secrets at one place would make the search slow."""


@dataclass(frozen=True, slots=True)
class SecretIndex:
    """All forms of the known secrets. It is replaced as a whole: another thread may be scrubbing a text meanwhile."""

    needles: Sequence[str] = ()
    """Sorted, so that a search by halves finds the one that agrees longest with a text."""
    edges: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    begins: frozenset[str] = frozenset()
    longest: int = 0
    literals: Sequence[str] = ()
    by_beginning: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: frozenset[str] = frozenset()
    word_lengths: Sequence[int] = ()

    @classmethod
    def of(cls, all_forms: Iterable[Forms]) -> "SecretIndex":
        edges: dict[str, set[tuple[str, str]]] = {}
        literals: set[str] = set()
        for forms in all_forms:
            literals |= forms.literals
            for needle in forms.needles:
                edges.setdefault(needle.skeleton, set()).add((needle.head, needle.tail))
        # A shorter form is masked only as a separate word. Otherwise, parts of many words would be masked.
        words = {literal for literal in literals if len(without_blanks(literal)) < RUN}
        long = sorted(map(without_blanks, literals - words))
        return cls(
            needles=sorted(edges),
            edges={bare: frozenset(found) for bare, found in edges.items()},
            begins=frozenset(bare[:RUN] for bare in edges),
            longest=max(map(len, edges), default=0),
            literals=long,
            by_beginning={begin: [*found] for begin, found in groupby(long, key=lambda each: each[:RUN])},
            words=frozenset(words),
            word_lengths=sorted(set(map(len, words))),
        )

    def spans(self, level: Level) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each secret in the text of `level`, also where it is cut off."""
        if self.needles:
            yield from _bounded(self._skeletons(level), len(level.text))
        if self.literals:
            yield from _bounded(self._literals(level), len(level.text))
        if self.words:
            yield from self._words(level.text)

    def _skeletons(self, level: Level) -> Iterator[tuple[int, int]]:
        letters = level.letters
        for start in _candidates(letters, self.begins):
            needle, length = self._longest_match(letters.text, start)
            if length:
                positions = letters.positions[start], letters.positions[start + length - 1] + 1
                yield self._with_edges(level.text, *positions, needle, length)
        yield from _cut_pieces(self.needles, letters)

    def _longest_match(self, bare: str, start: int) -> tuple[str, int]:
        """The secret that agrees longest with the text from `start` on, and how long; 0 if this may be chance."""
        text = bare[start : start + self.longest]
        place = bisect_right(self.needles, text)
        # Of sorted texts, the neighbors agree longest.
        neighbors = self.needles[max(place - 1, 0) : place + 1]
        length, needle = max((_agreement(text, needle), needle) for needle in neighbors)
        if length >= min(_SURE, len(needle)):
            return needle, length
        for whole in range(min(_SURE, len(text)), RUN - 1, -1):
            if text[:whole] in self.edges:
                return text[:whole], whole
        return "", 0

    def _with_edges(self, text: str, start: int, end: int, needle: str, length: int) -> tuple[int, int]:
        """Extend a match to the punctuation with which the secret begins and ends."""
        heads, tails = zip(*self.edges[needle], strict=True)
        start -= max(_agreement(text[max(start - len(head), 0) : start][::-1], head[::-1]) for head in heads)
        if length == len(needle):
            end += max(_agreement(text[end : end + len(tail)], tail) for tail in tails)
        return start, end

    def _literals(self, level: Level) -> Iterator[tuple[int, int]]:
        visible = level.visible
        for start in _candidates(visible, self.by_beginning.keys()):
            for literal in self.by_beginning[visible.text[start : start + RUN]]:
                if visible.text.startswith(literal, start):
                    yield visible.positions[start], visible.positions[start + len(literal) - 1] + 1
        yield from _cut_pieces(self.literals, visible)

    def _words(self, text: str) -> Iterator[tuple[int, int]]:
        for start in range(len(text)):
            if start == 0 or not _in_word(text[start - 1]):
                for end in (start + length for length in self.word_lengths):
                    if text[start:end] in self.words and (end >= len(text) or not _in_word(text[end])):
                        yield start, min(end, len(text))


def _bounded(spans: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The spans. If they overlap too often, all of the text, which then repeats one secret over and over."""
    total = 0
    for start, end in spans:
        total += end - start
        if total > _MOST_OVERLAPS * size:
            yield 0, size
            return
        yield start, end


def _candidates(reduced: Reduced, begins: AbstractSet[str]) -> Iterator[int]:
    """The positions where a secret may begin."""
    for start in range(len(reduced.text) - RUN + 1):
        if reduced.text[start : start + RUN] in begins:
            yield start


def _agreement(text: str, needle: str) -> int:
    """The number of characters with which both begin."""
    if text.startswith(needle):
        return len(needle)
    low, high = 0, min(len(text), len(needle))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text.startswith(needle[:middle]) else (low, middle - 1)
    return low


def _cut_pieces(forms: Sequence[str], reduced: Reduced) -> Iterator[tuple[int, int]]:
    """The beginnings of secrets that were cut off: with a mark, or without one at the end of the text."""
    for end, shortest in [*((cut, _CUT_PIECE) for cut in reduced.cuts), (len(reduced.text), _END_PIECE)]:
        length = _piece_before(forms, reduced.text, end, shortest)
        if length:
            yield reduced.positions[end - length], reduced.positions[end - 1] + 1


def _piece_before(forms: Sequence[str], text: str, end: int, shortest: int) -> int:
    """The length of the longest beginning of a form that ends at `end`, or 0."""
    for length in range(min(_SURE, end), shortest - 1, -1):
        piece = text[end - length : end]
        place = bisect_left(forms, piece)
        if place < len(forms) and forms[place].startswith(piece):
            return length
    return 0


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"
