"""What no hint has: recursive commands, commands on missing paths, placeholders, commands that shells misread."""

import os
import re
import shlex
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Final

from agent.model.text import CONTROL

RECURSIVE: Final = re.compile(
    r"\b(?:chown|chmod|chgrp|chattr|setfacl)\b[^`]*\s(?:-\w*R\w*|--recursive)\b|\brm\s+-\w*[rR]"
)
PLACEHOLDER: Final = re.compile(
    r"\b(?:HOST|USER|NAME|PASSWORD|PROXY|PORT|PROFILE|[A-Z]+-[A-Z]+)\b|<[A-Za-z][\w -]*>|/path/to\b"
)
_VARIABLES: Final = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_CHANGES: Final = ("chown", "chmod", "chattr")


def commands_in(hint: str) -> list[str]:
    """Return the texts in back quotes, except the lines of a systemd drop-in."""
    quoted = re.findall(r"`([^`]*)`", hint)
    return [text for text in quoted if not text.startswith(("[Service]", "ReadWritePaths="))]


def words_of(command: str) -> list[str]:
    """Return the words that a real shell makes of the command. The command does not run."""
    done = subprocess.run(["sh", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True, timeout=20)
    assert done.stderr == b"", command
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


def assert_pasteable(hint: str, may_change: Collection[Path] = (), outside: Collection[str] = ()) -> None:
    """Check that a hint has none of these faults.

    Args:
        hint: the text that the user sees.
        may_change: the only paths that a command may change.
        outside: names and paths that came from outside, which may look like placeholders.
    """
    assert not CONTROL.search(hint), ascii(hint)
    assert hint.count("`") % 2 == 0, hint
    assert not RECURSIVE.search(hint), hint
    ours = hint
    for text in sorted(outside, key=len, reverse=True):
        ours = ours.replace(text, "")
    assert not PLACEHOLDER.search(_VARIABLES.sub("", ours)), hint
    for command in commands_in(hint):
        words = words_of(command)
        assert words == shlex.split(command), command
        operands = [word for word in words if word.startswith("/")]
        assert all(os.path.lexists(operand) for operand in operands), command
        if set(_CHANGES) & set(words):
            assert {*map(Path, operands)} <= {*may_change}, command
            assert operands, command
            assert not any(Path(operand).is_symlink() for operand in operands), command
