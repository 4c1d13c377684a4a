"""Puts one login into DIR/config.json. For tests that need another user or their own mounts."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from agent.edge.docker_config import DockerConfigFile
from agent.model.docker_config import Document, Entry, place
from agent.model.problem import ProblemError
from agent.model.sensitive import Sensitive


def _put(key: str, entry: Entry) -> Callable[[Document], Document]:
    return lambda now: place(now, key, entry, lambda *_: True)


async def main(directory: str, key: str, password: str, times: str = "1") -> None:
    """Write `times` passwords one after the other. Print `written`, or the code and message of the problem."""
    config = DockerConfigFile(Path(directory))
    try:
        for number in range(int(times)):
            await config.update(_put(key, Entry("me", Sensitive(password + "x" * (number % 100)))))
    except ProblemError as error:
        problem = error.problem
        sys.stdout.write(f"{problem.code}: {problem.message}\n")
    else:
        sys.stdout.write("written\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
