"""`registry-agent check-config`: every fault of the settings, as the running agent would see it."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from agent.settings_loader import Loaded, load_settings, parse_assignments
from agent.settings_loader.sources import DEFAULT_FILE

SOUND: Final = 0
USAGE: Final = 64
FAULTY: Final = 78


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """None of its own: `--config` and `--set` are every command's."""


def run(args: argparse.Namespace) -> int:
    """Print one line for each fault, or one that all is well.

    Args:
        args: with `config` (a path or None) and `set` (a list of `SECTION.KEY=VALUE`).
    """
    try:
        flags = parse_assignments(args.set or [])
    except ValueError as error:
        print(f"registry-agent check-config: {error}", file=sys.stderr)
        return USAGE
    loaded = load_settings(Path(args.config) if args.config else None, os.environ, flags)
    for line in _lines(loaded):
        print(line)
    return FAULTY if loaded.problems else SOUND


def _lines(loaded: Loaded) -> list[str]:
    if loaded.problems:
        return [f"{problem.code} {problem.message}; {problem.hint}" for problem in loaded.problems]
    if loaded.file is None:
        return [f"all is well: there is no {DEFAULT_FILE}, so defaults, variables and flags hold"]
    return [f"all is well: {loaded.file}"]
