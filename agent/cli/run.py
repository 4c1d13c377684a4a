"""`registry-agent run`: the daemon, or one pass with `--once`."""

import argparse
import faulthandler
import os
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

from agent.cli import command

_ENDED_EARLY: Final = 0
_NOT_ALL: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--once", action="store_true", help="try each registry once, then end: 0 all logged in, 2 some not"
    )


def run(args: argparse.Namespace) -> int:
    """The exit code of wrong usage; otherwise it does not return, but ends the process with the agent's own.

    Args:
        args: with `config` (a path or None), `set` (a list of `SECTION.KEY=VALUE`) and `once`.
    """
    _heed_signals(_NOT_ALL if args.once else _ENDED_EARLY)
    return _run(args)


@command("run")
def _run(args: argparse.Namespace) -> int:
    # Imported here: no signal waits for it, and no other command needs the daemon's parts.
    import asyncio  # noqa: PLC0415

    from agent.edge.ca_certificates import roots_unread  # noqa: PLC0415

    with roots_unread():
        from agent.app import Agent  # noqa: PLC0415
    from agent.edge.core_dumps import disable_core_dumps  # noqa: PLC0415
    from agent.edge.memory import return_freed_memory  # noqa: PLC0415
    from agent.settings_loader import parse_assignments  # noqa: PLC0415

    flags = parse_assignments(args.set)
    disable_core_dumps()
    return_freed_memory()
    # The loop's thread alone, and the signal goes to no other: to print threads that run meanwhile was seen to crash.
    faulthandler.enable(all_threads=False)
    if sys.version_info < (3, 12):  # from then on it is the default: no thread for each child
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    agent = Agent(Path(args.config) if args.config else None, flags, os.environ)
    runner = asyncio.Runner()
    code = runner.run(agent.once() if args.once else agent.run())
    agent.close()
    return _leave(code)


def _heed_signals(code: int) -> None:
    """Until the agent heeds them itself: SIGTERM and SIGINT end it with `code`, and SIGHUP does nothing."""

    def end(*_: object) -> NoReturn:
        os._exit(code)  # nothing was begun

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _leave(code: int) -> NoReturn:
    """End now: a thread may still hang in a file system, a name server or a full pipe, and nobody may wait for it.

    The log has been written as far as it can be, and nothing else was printed.
    """
    os._exit(code)
