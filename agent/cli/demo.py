"""`registry-agent demo`: runs the real agent against a simulated cloud on loopback, and explains what happens."""

import argparse
import asyncio
import os
import shutil
import signal
from typing import Final

from agent.cli import CommandError, command, seconds, write
from agent.edge.programs import find_program

COMPLETE: Final = 0
INCOMPLETE: Final = 1

_INSTALL: Final = "sudo apt-get install -y docker-cli || sudo apt-get install -y docker.io"
_MANUAL: Final = "https://docs.docker.com/engine/install/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="S",
        type=seconds,
        default=None,
        help="run for S seconds (default: until everything was shown, at most 2 minutes)",
    )


@command("demo")
def run(args: argparse.Namespace) -> int:
    """Run the demo.

    Returns:
        0 if it showed everything, or everything that fits into the time given.
    """
    # Imported here because it loads aiohttp, which parsing the command line does not need.
    from agent.demo.story import Pace, play  # noqa: PLC0415

    output = _Output()
    docker = find_program("docker", os.environ.get("PATH"))
    if docker is None:
        output.print(_without_docker(debian=shutil.which("apt-get") is not None))

    pace = Pace() if args.seconds is None else Pace(limit_s=args.seconds, stay=True)

    complete = asyncio.run(play(pace, output.print))
    if output.error is not None:
        raise output.error
    return COMPLETE if (complete or output.closed) and docker else INCOMPLETE


class _Output:
    """Prints the demo's lines. When the reader has closed the pipe (`| head`), the demo shuts down cleanly."""

    def __init__(self) -> None:
        self.closed = False
        self.error: CommandError | None = None

    def print(self, lines: str) -> None:
        try:
            closed = not write(lines)
        except CommandError as error:
            self.error, closed = error, True
        self.closed = self.closed or closed
        # Before and after the demo nothing handles the signal, and nothing has to be shut down.
        if self.closed and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            signal.raise_signal(signal.SIGTERM)


def _without_docker(*, debian: bool) -> str:
    how = f"Install it with:\n\n    {_INSTALL}\n" if debian else f"How to install it: {_MANUAL}\n"
    return (
        f"There is no docker CLI on PATH, and the demo needs a real one to log in.\n{how}\n"
        "The agent starts anyway and waits for it. Press Ctrl-C to end the demo.\n"
    )
