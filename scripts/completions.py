"""Writes completions/ from the parser of the command line: completions.py [DIRECTORY]."""  # noqa: INP001 - a script

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import shtab

from agent.__main__ import COMMANDS, parser

_ROOT: Final = Path(__file__).parent.parent
# Under systemd, each agent has a directory here with the name of its user.
_USERS: Final = shtab.cmd("command ls /run/registry-agent 2>/dev/null")
_VALUES: Final = {"FILE": shtab.FILE, "PATH": shtab.FILE, "USER": _USERS}
_NAMES: Final = {"bash": "registry-agent", "zsh": "_registry-agent", "fish": "registry-agent.fish"}


def main(directory: Path) -> None:
    known = parser(COMMANDS)
    for action in _actions(known):
        # Chosen by the name of the value in the help. setattr, because argparse's types do not have shtab's attribute.
        if isinstance(action.metavar, str) and action.metavar in _VALUES:
            setattr(action, "complete", _VALUES[action.metavar])  # noqa: B010
    for shell, name in _NAMES.items():
        (directory / shell).mkdir(parents=True, exist_ok=True)
        (directory / shell / name).write_text(shtab.complete(known, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of its arguments
        yield action
        commands: dict[str, Any] = action.choices if isinstance(action.choices, dict) else {}
        for command in commands.values():
            yield from _actions(command)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _ROOT / "completions")
