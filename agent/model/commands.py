"""Builds commands for hints that a person can paste into a shell."""

import re
import shlex
from collections.abc import Mapping
from typing import Final

from agent.model.text import CONTROL, HOST_WORD, literal, printable

_LONGEST: Final = 400
# A back quote would end the command in the hint. `Problem` replaces the word HOST in a hint with its subject.
UNSAFE: Final = re.compile(rf"{CONTROL.pattern}|`|{HOST_WORD.pattern}")


def command(program: str, *operands: object, variables: Mapping[str, str] | None = None) -> str | None:
    """Return `program`, such as "sudo chown", with `operands`, quoted for a shell and enclosed in back quotes.

    Operands and the values of `variables` are from outside. Returns None if no text in a hint would run exactly this:
    if one is empty, looks like an option, is too long, or contains something that a terminal does not show (control
    characters, bytes that are not UTF-8). Then the hint describes in words what to do.
    """
    words, values = [str(operand) for operand in operands], dict(variables or {})
    if any(not word or word.startswith("-") or UNSAFE.search(word) for word in (*words, *values.values())):
        return None
    assignments = (f"{name}={shlex.quote(value)}" for name, value in values.items())
    text = " ".join([*assignments, program, *map(shlex.quote, words)])
    return f"`{text}`" if len(text) <= _LONGEST else None


def shown(outside: object) -> str:
    """Make a name or path from outside safe for a hint.

    A back quote would look like the start of a command, and `Problem` would replace the word HOST.
    """
    return literal(printable(str(outside).replace("`", "'"), 300))
