"""`registry-agent doctor`: checks every step from the settings to a pull, and reports the one that fails."""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agent.cli import USAGE, command, write, write_error
from agent.cli.doctor_view import View
from agent.cli.status import add_place
from agent.edge.paths import runtime_directory, socket_candidates
from agent.settings_loader import load_settings, parse_assignments

if TYPE_CHECKING:
    from agent.doctor.doctor import Doctor

WELL: Final = 0
BROKEN: Final = 2
INTERRUPTED: Final = 130


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


def run(args: argparse.Namespace) -> NoReturn:
    """Print the report, or what is wrong with the arguments, and end the process.

    The exit code is 0 if no check failed, 2 if one did, 64 for wrong usage and 130 after Ctrl-C.
    """
    _exit(_examine(args))


@command("doctor")
def _examine(args: argparse.Namespace) -> int:
    # Imported here because no other command needs these.
    from agent.doctor.doctor import Doctor, DoctorOptions  # noqa: PLC0415
    from agent.doctor.login import leaves_no_runtime_directory  # noqa: PLC0415
    from agent.doctor.target import parse_target  # noqa: PLC0415
    from agent.edge.core_dumps import disable_core_dumps  # noqa: PLC0415

    try:
        if args.host is not None:
            parse_target(args.host)
    except ValueError as error:
        write_error("doctor", str(error))
        return USAGE
    disable_core_dumps()  # the doctor reads passwords, and a core dump would contain them
    config = Path(args.config) if args.config else None
    loaded = load_settings(config, os.environ, parse_assignments(args.set or []))
    runtime = runtime_directory(os.environ)
    with leaves_no_runtime_directory(runtime):
        sockets = [args.socket] if args.socket else socket_candidates(args.user)
        options = DoctorOptions(args.host, runtime, sockets, args.try_refused)
        document = _run(Doctor(loaded, os.environ, options))
    if document is None:
        return INTERRUPTED
    _print(document, as_json=args.json)
    return BROKEN if document["broken"] else WELL


def _run(doctor: "Doctor") -> dict[str, Any] | None:
    """Run all checks and return the report, or None after SIGINT or SIGTERM.

    The loop is not closed: that would wait for threads that hang.
    """
    if sys.version_info < (3, 12):  # the default since 3.12; the older default starts a thread for each child
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    work = loop.create_task(doctor.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    try:
        return loop.run_until_complete(work).as_json(doctor.scrub)
    except asyncio.CancelledError:
        return None


def _print(document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        write(json.dumps(document, indent=2))
        return
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    write("\n".join(View(shutil.get_terminal_size().columns, colours=colours).lines(document)))


def _exit(code: int) -> NoReturn:
    """End the process at once, without waiting for a thread that may hang in a file system or a name server."""
    os._exit(code)
