"""Hints for directories that the sandbox of the agent's systemd unit does not let it write to."""

import re
from collections.abc import Sequence
from typing import Final

from agent.model.commands import command
from agent.model.text import CONTROL, HOST_WORD

_LONGEST: Final = 200
# `Problem` replaces the word HOST in a hint with its subject.
_UNSAFE: Final = re.compile(rf"{CONTROL.pattern}|`|{HOST_WORD.pattern}")


def opening(unit: str, directories: Sequence[object]) -> str:
    """Return the hint to let the agent, run by `unit`, write to `directories`.

    Without directories, the hint is about the directory of the credential helper, which the agent does not know.
    """
    edit, restart = command("sudo systemctl edit", unit), command("sudo systemctl restart", unit)
    if edit is None or restart is None:
        return "allow the agent to write there in the sandbox of its systemd service"
    paths = [_setting(str(directory)) for directory in directories]
    if paths and all(paths):
        lines = f"the lines `[Service]` and `ReadWritePaths={' '.join(filter(None, paths))}`"
    else:
        lines = "the line `[Service]` and one with `ReadWritePaths=` and that directory"
    return (
        f"allow the agent to write there in the sandbox of {unit}: run {edit}, add {lines}, make sure that the "
        f"directory exists, then run {restart}"
    )


def _setting(directory: str) -> str | None:
    """Return the directory in systemd's notation, or None if it cannot be shown safely.

    With the leading minus, the agent also starts if the directory does not exist.
    """
    if not directory.startswith("/") or len(directory) > _LONGEST or _UNSAFE.search(directory):
        return None
    escaped = directory.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    plain = escaped == directory and not set(directory) & set(" '")
    return f"-{directory}" if plain else f'"-{escaped}"'
