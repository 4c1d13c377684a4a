"""The command line: arguments to a command; each imports what it needs when it runs."""

import argparse
import sys
from typing import Any, Final, NoReturn

from agent import __version__
from agent.cli import check_config, demo, doctor, logs, renew, run, status, support_bundle

USAGE: Final = 64  # sysexits.h: EX_USAGE

_COMMANDS: Final = (
    ("run", run, "keep this environment logged in (the daemon)"),
    ("status", status, "say what the agent says"),
    ("doctor", doctor, "walk the chain link by link, and say which one is broken; changes nothing"),
    ("renew", renew, "log in anew now, and wait for the outcome"),
    ("logs", logs, "show the agent's recent events"),
    ("support-bundle", support_bundle, "pack what support needs to know, without secrets, into one file"),
    ("check-config", check_config, "check the settings"),
    ("demo", demo, "see the agent at work on a pretend cloud"),
)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        # An abbreviation that works today would break with the next option.
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    code: int = args.run(args)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="registry-agent", description="Keeps a development environment logged in to its container registries."
    )
    parser.add_argument("--version", action="version", version=f"registry-agent {__version__}")
    _add_common(parser, config=None, assignments=[])
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for name, module, summary in _COMMANDS:
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        _add_common(command, config=argparse.SUPPRESS, assignments=argparse.SUPPRESS)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


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
