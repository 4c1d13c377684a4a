"""`registry-agent demo`: the real agent against a pretend cloud on loopback, told in plain words."""

import argparse
import asyncio
import math
import os
import shutil
import signal
import sys
from typing import Final

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


def run(args: argparse.Namespace) -> int:
    """Play the story; 0 when all of it was seen, or as much as there was time for."""
    # aiohttp is loaded here, not when the command line is read.
    from agent.demo.story import Pace, Story  # noqa: PLC0415

    docker = find_program("docker", os.environ.get("PATH"))
    if docker is None:
        print(_without_docker(debian=shutil.which("apt-get") is not None), flush=True)

    pace = Pace() if args.seconds is None else Pace(limit_s=args.seconds, stay=True)

    async def play() -> bool:
        return await Story(pace, _say).play()

    return SEEN if asyncio.run(play()) and docker else NOT_SEEN


def _say(lines: str) -> None:
    """Print; once nobody reads any more (`| head`), end the demo in order."""
    try:
        print(lines, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
