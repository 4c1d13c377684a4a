"""The command line. Imports only the command that the arguments name, which keeps each start fast."""

import argparse
import importlib
import os
import sys
from collections.abc import Collection
from typing import Any, Final, NoReturn

from agent import __version__
from agent.model.exit_codes import USAGE
from agent.model.variables import drop_empty

COMMANDS: Final = {
    "run": "keep this environment logged in (the daemon)",
    "status": "show the agent's status",
    "doctor": "check each step of a login, and show which one fails; changes nothing",
    "renew": "renew logins now, and wait for the result",
    "logout": "remove the agent's logins from Docker's configuration",
    "logs": "show the agent's recent events",
    "support-bundle": "collect what support needs into one file, without secrets",
    "check-config": "check the settings",
    "demo": "run the agent against a pretend cloud on this machine",
}
"""Name to summary. Each command is a module in `agent.cli`."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        # An abbreviated option that works today could become ambiguous when an option is added.
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(argv: list[str] | None = None) -> int:
    # Before anything reads them: the SDK, OpenSSL and children read the variables of the process, not a mapping.
    drop_empty(os.environ)
    args = parser(sys.argv[1:] if argv is None else argv).parse_args(argv)
    args.set = [*args.set_before, *args.set]
    code: int = args.run(args)
    return code


def parser(words: Collection[str]) -> argparse.ArgumentParser:
    """Build the parser: all arguments of the commands named in `words`, and only the names of the others."""
    known = _Parser(
        prog="registry-agent", description="Keeps a development environment logged in to its container registries."
    )
    known.add_argument("--version", action="version", version=f"registry-agent {__version__}")
    _add_common(known, config=None, assignments="set_before")
    commands = known.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name in words:
            module = importlib.import_module(f"agent.cli.{name.replace('-', '_')}")
            _add_common(command, config=argparse.SUPPRESS, assignments="set")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return known


def _add_common(parser: argparse.ArgumentParser, *, config: str | None, assignments: str) -> None:
    """Add the options that are allowed before and after the command's name. The one after it wins.

    `assignments` names the list of what `--set` was given. argparse replaces a list that both would share.
    """
    parser.add_argument("--config", metavar="FILE", default=config, help="the settings file")
    parser.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        dest=assignments,
        default=[],
        help="set one setting; overrides the environment and the file; can be repeated",
    )


if __name__ == "__main__":
    sys.exit(main())
