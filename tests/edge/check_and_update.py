"""Checks DIR/config.json and then puts a login into it. For tests that need another user or their own mounts."""

import asyncio
import sys
from collections.abc import Awaitable
from pathlib import Path

from agent.edge.docker_config import DockerConfigFile
from agent.model.docker_config import Entry, place
from agent.model.problem import ProblemError
from agent.model.sensitive import Sensitive


async def _outcome(work: Awaitable[object]) -> str:
    try:
        await work
    except ProblemError as error:
        return f"{error.problem.code}: {error.problem.message}; {error.problem.hint}"
    return "writable"


async def main(directory: str) -> None:
    """Print the outcome of the check and that of the write, each on one line."""
    config, entry = DockerConfigFile(Path(directory)), Entry("me", Sensitive("p" * 3000))
    checked = await _outcome(config.check_writable())
    written = await _outcome(config.update(lambda now: place(now, "ghcr.io", entry, lambda *_: True)))
    sys.stdout.write(f"{checked}\n{written}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
