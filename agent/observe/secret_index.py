"""Finds known secrets in a text, in one pass whose cost does not grow with the number of secrets."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from agent.observe.decoding import RUN, Level, Reduced, lower, without_blanks
from agent.observe.forms import Edges, Forms

_SURE: Final = 16
"""So many letters and digits of a secret are masked, even if the rest differs or is cut off."""
_CUT_PIECE: Final = 4
"""The shortest beginning of a secret that is masked before a mark of a cut."""
_END_PIECE: Final = 8
"""The same at the end of the text, where a program may have cut it without a mark."""
_MOST_OVERLAPS: Final = 64
"""More than so many secrets at one place would make the search slow."""
_NO_EDGES: Final = frozenset({Edges()})


class SecretIndex:
    """All forms of the known secrets. It never changes, because another thread may be scrubbing a text."""

    def __init__(self, all_forms: Iterable[Forms]) -> None:
        skeletons: dict[str, set[Edges]] = {}
        literals: set[str] = set()
        for forms in all_forms:
            literals |= forms.literals
            for skeleton, edges in forms.skeletons:
                skeletons.setdefault(skeleton, set()).add(edges)
        # A shorter form is masked only as a separate word. Otherwise, parts of many words would be masked.
        words = {literal for literal in literals if len(without_blanks(literal)) < RUN}
        self._skeletons: Final = _SearchValues(skeletons)
        self._literals: Final = _SearchValues(dict.fromkeys(map(without_blanks, literals - words), _NO_EDGES))
        longest_first = "|".join(map(re.escape, sorted(map(lower, words), key=len, reverse=True)))
        # Only looked ahead for, because the next word may begin inside this one.
        self._words: Final = re.compile(rf"(?<!\w)(?=({longest_first})(?!\w))") if words else None

    def spans(self, level: Level) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each secret in the text of `level`, also where it is cut off."""
        if self._skeletons.edges:
            yield from _bounded(self._skeletons.spans(level.text, level.letters), len(level.text))
        if self._literals.edges:
            yield from _bounded(self._literals.spans(level.text, level.visible), len(level.text))
        if self._words:
            yield from (word.span(1) for word in self._words.finditer(lower(level.text)))


class _SearchValues:
    """What to search for in reduced texts, each with the punctuation that may be around it in the text itself."""

    def __init__(self, edges: Mapping[str, AbstractSet[Edges]]) -> None:
        self.edges: Final = edges
        # Sorted, so that a search by halves finds the one that agrees longest with a text.
        self._sorted: Final = sorted(edges)
        self._begins: Final = frozenset(needle[:RUN] for needle in edges)
        self._longest: Final = max(map(len, edges), default=0)

    def spans(self, text: str, reduced: Reduced) -> Iterator[tuple[int, int]]:
        for start in range(len(reduced.text) - RUN + 1):
            if reduced.text[start : start + RUN] in self._begins:
                needle, length = self._longest_match(reduced.text[start : start + self._longest])
                if length:
                    begin, end = reduced.positions[start], reduced.positions[start + length - 1] + 1
                    yield self._with_edges(text, begin, end, needle, length)
        # The beginnings of secrets that were cut off: with a mark, or without one at the end of the text.
        for cut, shortest in [*((cut, _CUT_PIECE) for cut in reduced.cuts), (len(reduced.text), _END_PIECE)]:
            length = self._piece_before(reduced.text, cut, shortest)
            if length:
                yield reduced.positions[cut - length], reduced.positions[cut - 1] + 1

    def _longest_match(self, text: str) -> tuple[str, int]:
        """The secret that agrees longest with the beginning of `text`, and how long; 0 if this may be chance."""
        place = bisect_right(self._sorted, text)
        # Of sorted texts, the neighbors agree longest.
        neighbors = self._sorted[max(place - 1, 0) : place + 1]
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

    def _piece_before(self, text: str, end: int, shortest: int) -> int:
        """The length of the longest beginning of a secret that ends at `end`, or 0."""
        for length in range(min(_SURE, end), shortest - 1, -1):
            piece = text[end - length : end]
            place = bisect_left(self._sorted, piece)
            if place < len(self._sorted) and self._sorted[place].startswith(piece):
                return length
        return 0


def _bounded(spans: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The spans. If they overlap too often, all of the text, which then repeats one secret over and over."""
    total = 0
    for start, end in spans:
        total += end - start
        if total > _MOST_OVERLAPS * size:
            yield 0, size
            return
        yield start, end


def _agreement(text: str, needle: str) -> int:
    """The number of characters with which both begin."""
    if text.startswith(needle):
        return len(needle)
    low, high = 0, min(len(text), len(needle))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text.startswith(needle[:middle]) else (low, middle - 1)
    return low
