"""Finds what a template, a shell or another program left in a value: a placeholder, quotes, or SOPS's encryption."""

import re
from typing import Final

PLACEHOLDER: Final = "a placeholder that nothing has replaced"
QUOTES: Final = "in quotes"
ENCRYPTED: Final = "encrypted with SOPS"
DECRYPT: Final = "decrypt it (`sops --decrypt` prints the content), and put the result here"
_FORMS: Final = {
    PLACEHOLDER: re.compile(r"\$\{.+\}|\$\(.+\)|\$[A-Za-z_]\w*|\{\{.+\}\}|<[^<>]+>"),
    QUOTES: re.compile(r"""(["'`]).+\1|“.+”""", re.DOTALL),
    ENCRYPTED: re.compile(r"ENC\[[A-Z0-9_]+,.*\]", re.DOTALL),
}


def leftover(value: object) -> str | None:
    """Return what the value is instead of the real one, or None. A password can really be any of them."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return next((what for what, form in _FORMS.items() if form.fullmatch(text)), None)
