"""`registry-agent doctor`: checks every step from the settings to a pull, and reports the one that fails."""

import argparse
import asyncio
import json
import os
import signal
from typing import Final

from agent.cli import INTERRUPTED, CommandError, command, loaded_settings, prepare_for_secrets, write
from agent.cli.doctor_view import report_lines
from agent.cli.status import add_place, sockets
from agent.cli.terminal import Terminal
from agent.edge.paths import runtime_directory
from agent.model.exit_codes import USAGE

WELL: Final = 0
BROKEN: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "host",
        metavar="HOST",
        nargs="?",
        help="check one registry, or an image such as ghcr.io/org/name:tag (default: all registries)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--try", dest="try_refused", action="store_true", help="send a password even if it was refused before"
    )
    add_place(parser)


@command("doctor", leaves_threads=True)
def run(args: argparse.Namespace) -> int:
    """Print the report.

    Returns:
        0 if no check failed, 2 if one did, 130 after Ctrl-C.
    """
    # Imported here because no other command needs these.
    from agent.doctor.context import Context  # noqa: PLC0415
    from agent.doctor.doctor import Doctor  # noqa: PLC0415
    from agent.doctor.login import leaves_no_runtime_directory  # noqa: PLC0415
    from agent.doctor.target import parse_target  # noqa: PLC0415

    try:
        if args.host is not None:
            parse_target(args.host)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    prepare_for_secrets()
    loaded, runtime = loaded_settings(args), runtime_directory(os.environ)
    # The loop is not closed: that would wait for threads that hang.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with leaves_no_runtime_directory(runtime):
        context = Context(
            loaded,
            os.environ,
            host=args.host,
            runtime=runtime,
            sockets=sockets(args),
            try_refused=args.try_refused,
        )
        work = loop.create_task(Doctor(context).run())
        # A second Ctrl-C must not stop the cleanup either, as it would with `asyncio.Runner`.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, work.cancel)
        try:
            document = loop.run_until_complete(work)
        except asyncio.CancelledError:
            return INTERRUPTED
    write(json.dumps(document, indent=2) if args.json else "\n".join(report_lines(Terminal.of_stdout(), document)))
    return BROKEN if document["broken"] else WELL
