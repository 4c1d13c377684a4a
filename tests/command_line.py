"""The options that the command line accepts, from its help."""

import re
from contextlib import redirect_stdout, suppress
from functools import cache
from io import StringIO

from agent.__main__ import main

_OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")


@cache
def options_of(command: str) -> frozenset[str]:
    """Return the options of a command, in their short and long forms."""
    with redirect_stdout(StringIO()) as help_text, suppress(SystemExit):
        main([command, "--help"])
    listed = help_text.getvalue().partition("\noptions:\n")[2]
    return frozenset(
        option
        for line in listed.splitlines()
        if line.startswith("  -")
        for option in _OPTION.findall(line.strip().partition("  ")[0])
    )
