"""Removes known secrets, and what looks like a secret, from everything that goes into the bundle."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from agent.observe.redaction import Scrubber
from agent.support.patterns import MASK, mask_patterns

KNOWN: Final = "known secret"


class Redactor:
    """Masks secrets. `found` counts them by kind; `already` counts what the agent itself had masked before."""

    def __init__(self, known: Iterable[str]) -> None:
        self._scrubber: Final = Scrubber()
        self._scrubber.protect(form for value in known for form in _quoted(value))
        self.found: Final[Counter[str]] = Counter()
        self.already = 0

    def redact(self, text: str) -> str:
        """`text` without secrets. JSON and JSON lines stay valid."""
        # Known secrets go first: their values are masked completely, a pattern may match only a part.
        before = text.count(MASK)
        scrubbed = self._scrubber.scrub(self._decoded(text))
        self.already += before
        # A new mask may cover an old one, so there may be fewer masks than before. The count must not go down.
        self.found[KNOWN] += max(scrubbed.count(MASK) - before, 0)
        masked, found = mask_patterns(scrubbed)
        self.found.update(found)
        return masked

    def _decoded(self, text: str) -> str:
        """JSON with its decoded strings scrubbed: in the encoded text, any character may be written as an escape."""
        try:
            return json.dumps(self._scrubbed(json.loads(text)), ensure_ascii=False, indent=1) + "\n"
        except (ValueError, RecursionError):
            return "\n".join(self._decoded_line(line) if line.startswith("{") else line for line in text.split("\n"))

    def _decoded_line(self, line: str) -> str:
        try:
            return json.dumps(self._scrubbed(json.loads(line)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return line

    def _scrubbed(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._scrubber.scrub(value)
        if isinstance(value, list):
            return [self._scrubbed(item) for item in value]
        if isinstance(value, dict):
            return {self._scrubber.scrub(name): self._scrubbed(item) for name, item in value.items()}
        return value


def _quoted(value: str) -> Iterator[str]:
    """A secret as it is, and JSON-encoded, for JSON inside a JSON string. The scrubber itself handles one level."""
    yield value
    for plain in (True, False):
        yield json.dumps(value, ensure_ascii=plain)[1:-1]
