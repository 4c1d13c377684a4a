"""Outside text made fit for a message: one line, printable, short."""

import re
from typing import Final

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


def printable(text: str, limit: int = 300) -> str:
    """`text` on one line, without control characters, terminal escapes or direction marks, cut at `limit`."""
    line = CONTROL.sub(" ", text[: limit * 4]).strip()
    # Also where the rest was let go first: half a secret is known for one by the cut.
    return line if len(line) <= limit and len(text) <= limit * 4 else line[: limit - 1] + "…"
