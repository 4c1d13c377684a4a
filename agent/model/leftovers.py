"""Finds what a template, a shell or a file of variables left in a value: a placeholder, or quotes."""

import re
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\$\{.+\}|\$\(.+\)|\$[A-Za-z_]\w*|\{\{.+\}\}|<[^<>]+>")
_QUOTED: Final = re.compile(r"""(["'`]).+\1|“.+”""", re.DOTALL)
PLACEHOLDER: Final = "a placeholder that nothing has replaced"
QUOTES: Final = "in quotes"


def leftover(value: object) -> str | None:
    """Return what the value is instead of the real one, or None. A password can really be either of them."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return PLACEHOLDER if _PLACEHOLDER.fullmatch(text) else QUOTES if _QUOTED.fullmatch(text) else None
