"""The exit codes of the agent and of wrong usage (sysexits.h). Those of each other command are in its file."""

from typing import Final

CLEAN: Final = 0
NOT_ALL: Final = 2
"""Not all registries are logged in, or not all logins could be removed."""
USAGE: Final = 64
CRASHED: Final = 70
LOCKED_OUT: Final = 75
