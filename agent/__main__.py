"""The command line: arguments to a command; of the commands only the one that is named is loaded."""

import argparse
import importlib
import sys
from collections.abc import Collection
from typing import Any, Final, NoReturn

from agent import __version__

USAGE: Final = 64  # sysexits.h: EX_USAGE

COMMANDS: Final = {
    "run": "keep this environment logged in (the daemon)",
    "status": "say what the agent says",
    "doctor": "walk the chain link by link, and say which one is broken; changes nothing",
    "renew": "log in anew now, and wait for the outcome",
    "logs": "show the agent's recent events",
    "support-bundle": "pack what support needs to know, without secrets, into one file",
    "check-config": "check the settings",
    "demo": "see the agent at work on a pretend cloud",
}
"""Name to summary; each is a module of `agent.cli`."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        # An abbreviation that works today would break with the next option.
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(argv: list[str] | None = None) -> int:
    args = parser(sys.argv[1:] if argv is None else argv).parse_args(argv)
    code: int = args.run(args)
    return code


def parser(words: Collection[str]) -> argparse.ArgumentParser:
    """Knows the arguments of each command that is among `words`, and of the others the name alone."""
    known = _Parser(
        prog="registry-agent", description="Keeps a development environment logged in to its container registries."
    )
    known.add_argument("--version", action="version", version=f"registry-agent {__version__}")
    _add_common(known, config=None, assignments=[])
    commands = known.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name in words:
            module = importlib.import_module(f"agent.cli.{name.replace('-', '_')}")
            _add_common(command, config=argparse.SUPPRESS, assignments=argparse.SUPPRESS)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return known


def _add_common(parser: argparse.ArgumentParser, *, config: str | None, assignments: list[str] | str) -> None:
    """What may stand before or after the command's name; the one after it wins."""
    parser.add_argument("--config", metavar="FILE", default=config, help="the settings file")
    parser.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=assignments,
        help="one setting; beats environment and file; may be repeated",
    )


if __name__ == "__main__":
    sys.exit(main())
