"""`registry-agent check-config`: reports every error in the settings, as the running agent would find it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.cli import command, loaded_settings, write
from agent.model.problems.environment import SettingsInvalid, unusable_status_token
from agent.settings_loader import Loaded
from agent.settings_loader.sources import DEFAULT_FILE

VALID: Final = 0
INVALID: Final = 78


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: every command has `--config` and `--set`, and this one needs no more."""


@command("check-config")
def run(args: argparse.Namespace) -> int:
    """Print one line for each error, or one line if there is none.

    Args:
        args: with `config` (a path or None) and `set` (a list of `SECTION.KEY=VALUE`).
    """
    loaded = loaded_settings(args)
    problems = [*loaded.problems, *_token_problems(loaded.settings.status.token_file)]
    write("\n".join(_lines(loaded, problems)))
    return INVALID if problems else VALID


def _token_problems(path: Path | None) -> list[SettingsInvalid]:
    """Check that the token file can be read. If it cannot, the agent refuses every request over TCP."""
    if path is None:
        return []
    from agent.edge.token_file import TokenFileError, read_token_file  # noqa: PLC0415 - rarely needed

    try:
        read_token_file(path)
    except TokenFileError as error:
        return [unusable_status_token(str(error))]
    return []


def _lines(loaded: Loaded, problems: Sequence[SettingsInvalid]) -> list[str]:
    if problems:
        return [f"{problem.code} {problem.message}; {problem.hint}" for problem in problems]
    if loaded.file is None:
        return [f"all is well: there is no {DEFAULT_FILE}; the agent uses its defaults, the environment and the flags"]
    return [f"all is well: {loaded.file}"]
