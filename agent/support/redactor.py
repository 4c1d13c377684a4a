"""Removes known secrets, and what looks like a secret, from everything that goes into the bundle."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from agent.observe.redaction import MASK, Scrubber
from agent.support.patterns import mask_patterns

KNOWN: Final = "known secret"


class Redactor:
    """Masks secrets. `found` counts them by kind; `already` counts what the agent itself had masked before."""

    def __init__(self, known: Iterable[str]) -> None:
        scrubber = Scrubber()
        scrubber.protect(known)
        # Not the secrets that are ordinary words: the bundle consists of such words.
        self._scrub: Final = scrubber.scrub_own
        self.found: Final[Counter[str]] = Counter()
        self.already = 0

    def redact(self, text: str) -> str:
        """`text` without secrets. JSON and JSON lines stay valid."""
        # Known secrets go first: their values are masked completely, a pattern may match only a part.
        before = text.count(MASK)
        scrubbed = self._decoded(text)
        self.already += before
        # A new mask may cover an old one, so there may be fewer masks than before. The count must not go down.
        self.found[KNOWN] += max(scrubbed.count(MASK) - before, 0)
        masked, found = mask_patterns(scrubbed)
        self.found.update(found)
        return masked

    def _decoded(self, text: str) -> str:
        """Scrub the strings of JSON one by one. In the whole text, masking a secret such as `,` would break it."""
        try:
            return json.dumps(self._scrubbed(json.loads(text)), ensure_ascii=False, indent=1) + "\n"
        except (ValueError, RecursionError):
            groups = groupby(text.split("\n"), key=lambda line: line.startswith("{"))
            return "\n".join(line for is_json, lines in groups for line in self._decoded_lines(lines, is_json=is_json))

    def _decoded_lines(self, lines: Iterable[str], *, is_json: bool) -> Iterator[str]:
        if not is_json:
            yield self._scrub("\n".join(lines))  # a secret may span lines
            return
        for line in lines:
            try:
                yield json.dumps(self._scrubbed(json.loads(line)), ensure_ascii=False)
            except (ValueError, RecursionError):
                yield self._scrub(line)

    def _scrubbed(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._scrub(value)
        if isinstance(value, list):
            return [self._scrubbed(item) for item in value]
        if isinstance(value, dict):
            return {self._scrub(name): self._scrubbed(item) for name, item in value.items()}
        return value
