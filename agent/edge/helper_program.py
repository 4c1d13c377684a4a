"""Finds out whether docker finds the agent's credential helper."""

from collections.abc import Mapping
from typing import Final

from agent.edge.programs import find_program

PROGRAM: Final = "docker-credential-registry-agent"
_ALWAYS: Final = "/usr/local/bin:/usr/bin"
"""On the PATH of every shell, of sudo, and of most services."""


def is_installed(environ: Mapping[str, str]) -> bool:
    """Return whether the program is on the agent's PATH, or in the directories that every PATH has. Blocks."""
    return find_program(PROGRAM, f"{environ.get('PATH', '')}:{_ALWAYS}") is not None
