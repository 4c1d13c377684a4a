"""`registry-agent demo`: the real agent against a pretend cloud on loopback, told in plain words."""

import argparse
import asyncio
import math
import os
import shutil
import signal
from typing import Final

from agent.cli import Unwritable, command, write
from agent.edge.programs import find_program

SEEN: Final = 0
NOT_SEEN: Final = 1

_INSTALL: Final = "sudo apt-get install -y docker-cli || sudo apt-get install -y docker.io"
_MANUAL: Final = "https://docs.docker.com/engine/install/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="S",
        type=_seconds,
        default=None,
        help="show it for S seconds; without, it ends when all was seen, after 2 minutes at most",
    )


@command("demo")
def run(args: argparse.Namespace) -> int:
    """Play the story; 0 when all of it was seen, or as much as there was time for."""
    # aiohttp is loaded here, not when the command line is read.
    from agent.demo.story import Pace, Story  # noqa: PLC0415

    audience = _Audience()
    docker = find_program("docker", os.environ.get("PATH"))
    if docker is None:
        audience.hear(_without_docker(debian=shutil.which("apt-get") is not None))

    pace = Pace() if args.seconds is None else Pace(limit_s=args.seconds, stay=True)

    async def play() -> bool:
        return await Story(pace, audience.hear).play()

    seen = asyncio.run(play())
    if audience.fault is not None:
        raise audience.fault
    return SEEN if (seen or audience.gone) and docker else NOT_SEEN


class _Audience:
    """Whoever reads the story; once nobody does any more (`| head`), the demo ends in order."""

    def __init__(self) -> None:
        self.gone = False
        self.fault: Unwritable | None = None

    def hear(self, lines: str) -> None:
        try:
            left = not write(lines)
        except Unwritable as fault:
            self.fault, left = fault, True
        self.gone = self.gone or left
        # Before and after the story nobody heeds the signal, and there is nothing to end.
        if self.gone and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            signal.raise_signal(signal.SIGTERM)


def _without_docker(*, debian: bool) -> str:
    how = f"This installs it:\n\n    {_INSTALL}\n" if debian else f"How to install it: {_MANUAL}\n"
    return (
        f"There is no docker CLI on PATH, and the demo logs in with the real one.\n{how}\n"
        "The agent starts all the same and waits for it (Ctrl-C ends the demo).\n"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds
