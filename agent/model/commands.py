"""Commands in hints, which a person can paste into a shell."""

import re
import shlex
from collections.abc import Mapping
from typing import Final

from agent.model.text import CONTROL, printable

_LONGEST: Final = 400
# A back quote ends the command in the hint's own text; the word HOST in a hint stands for its subject (`Problem`).
_UNSAFE: Final = re.compile(rf"{CONTROL.pattern}|`|\bHOST\b")


def command(program: str, *operands: object, variables: Mapping[str, str] | None = None) -> str | None:
    """`program` with `operands` in back quotes, quoted for a shell.

    Args:
        program: the command's own words, such as "sudo chown"; they are not quoted.
        operands: names and paths from outside.
        variables: what it needs in its environment; the values are from outside.

    Returns:
        None where no text that fits into a hint would run exactly this: an operand is empty, looks like an option,
        is too long, or holds what a terminal does not show (control characters, bytes that are not UTF-8). Then the
        hint says in words what to do.
    """
    words, values = [str(operand) for operand in operands], dict(variables or {})
    if any(not word or word.startswith("-") or _UNSAFE.search(word) for word in (*words, *values.values())):
        return None
    assignments = (f"{name}={shlex.quote(value)}" for name, value in values.items())
    text = " ".join([*assignments, program, *map(shlex.quote, words)])
    return f"`{text}`" if len(text) <= _LONGEST else None


def shown(outside: object) -> str:
    """A name or path from outside in a hint's own words, where a back quote would look like the start of a command."""
    return printable(str(outside).replace("`", "'"), 300)
