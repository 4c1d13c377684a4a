"""The sandbox that the systemd unit puts around the agent, and how a person opens what it closes."""

import re
from collections.abc import Sequence
from typing import Final

from agent.model.commands import command
from agent.model.text import CONTROL

_LONGEST: Final = 200
# The word HOST in a hint stands for its subject (`Problem`).
_UNSAFE: Final = re.compile(rf"{CONTROL.pattern}|`|\bHOST\b")


def opening(unit: str, directories: Sequence[object]) -> str:
    """What to do so that the agent run by `unit` may write in `directories`; none: where its credential helper does."""
    edit, restart = command("sudo systemctl edit", unit), command("sudo systemctl restart", unit)
    if edit is None or restart is None:
        return "the sandbox of the agent's systemd service must let the agent write there"
    paths = [_setting(str(directory)) for directory in directories]
    if paths and all(paths):
        lines = f"the lines `[Service]` and `ReadWritePaths={' '.join(filter(None, paths))}`"
    else:
        lines = "the line `[Service]` and one with `ReadWritePaths=` and that directory"
    return (
        f"the sandbox of {unit} must let the agent write there: run {edit}, add {lines}, see that the directory is "
        f"there, then {restart}"
    )


def _setting(directory: str) -> str | None:
    """The directory as systemd reads it; the minus lets the agent start without it. None: not to be shown."""
    if not directory.startswith("/") or len(directory) > _LONGEST or _UNSAFE.search(directory):
        return None
    escaped = directory.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    plain = escaped == directory and not set(directory) & set(" '")
    return f"-{directory}" if plain else f'"-{escaped}"'
