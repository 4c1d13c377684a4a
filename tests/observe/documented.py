"""The events that docs/logs.md explains."""

import re
from pathlib import Path

_DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "logs.md"


def documented_events() -> set[str]:
    return set(re.findall(r"^\| `([a-z_.]+)`", _DOCUMENT.read_text(), re.MULTILINE))
