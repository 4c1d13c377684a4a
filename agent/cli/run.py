"""`registry-agent run`: runs the daemon, or a single pass with `--once`."""

import argparse
import faulthandler
import os
import signal
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agent.cli import command, prepare_for_secrets
from agent.model.exit_codes import CLEAN, NOT_ALL

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agent.app import Agent

_NO_FLAGS: Final[Mapping[str, str]] = MappingProxyType({})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--once", action="store_true", help="try each registry once, then exit with 0 if all are logged in, else with 2"
    )


@command("run", leaves_threads=True)
def run(args: argparse.Namespace) -> int:
    """Run the agent.

    Args:
        args: with `config` (a path or None), `set` (a list of `SECTION.KEY=VALUE`) and `once`.
    """
    if args.once:
        return start(args, lambda agent: agent.once(), ended_early=NOT_ALL)
    return start(args, lambda agent: agent.run(), ended_early=CLEAN)


def start(
    args: argparse.Namespace,
    work: "Callable[[Agent], Coroutine[Any, Any, int]]",
    *,
    ended_early: int = NOT_ALL,
    flags: Mapping[str, str] = _NO_FLAGS,
    environ: MutableMapping[str, str] = os.environ,
) -> int:
    """Have an agent in this process do `work`. Returns the exit code; `ended_early` after a signal while it loads.

    `flags` are settings that override those in `args`.
    """
    _handle_early_signals(ended_early)
    # Imported here: signals are already handled while the imports run, and no other command needs these modules.
    import asyncio  # noqa: PLC0415

    from agent.edge.ca_certificates import roots_unread  # noqa: PLC0415

    with roots_unread():
        from agent.app import Agent  # noqa: PLC0415
    from agent.edge.memory import return_freed_memory  # noqa: PLC0415
    from agent.settings_loader import parse_assignments  # noqa: PLC0415

    flags = {**parse_assignments(args.set), **flags}
    prepare_for_secrets()
    return_freed_memory()
    # Print the event loop's thread only, which also receives the signal: printing running threads has crashed.
    faulthandler.enable(all_threads=False)
    agent = Agent(Path(args.config) if args.config else None, flags, environ)
    runner = asyncio.Runner()
    code = runner.run(work(agent))
    agent.close()
    return code


def _handle_early_signals(code: int) -> None:
    """Until the agent handles signals itself, exit with `code` on SIGTERM and SIGINT, and ignore SIGHUP."""

    def end(*_: object) -> NoReturn:
        os._exit(code)  # nothing has started yet that would need a shutdown

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
