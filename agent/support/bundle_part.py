"""One part of the bundle, and helpers that all parts use."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.blocking import BlockingCalls
from agent.edge.agent_client import AgentClient
from agent.edge.process import Finished, ProcessTimeout, child_environment, run
from agent.edge.programs import find_program
from agent.settings_loader import Loaded

T = TypeVar("T")

_CALLS: Final = BlockingCalls("support-bundle", limit=64)
LARGEST: Final = 2 << 20
"""The most characters of one part. Of a longer part the end is kept, which is the newest."""
PROGRAM_S: Final = 8.0


class NotCollected(Exception):  # noqa: N818 - not an error: the list of contents shows it
    """A part cannot be collected; the text is the reason."""


@dataclass(frozen=True, slots=True)
class BundleContext:
    """What all parts need: the agent, its user and its settings."""

    loaded: Loaded
    config: str | None
    assignments: Sequence[str]
    environ: Mapping[str, str]
    user: str
    agent: AgentClient
    now: datetime
    socket: Path | None = None
    """The agent's socket, if `--socket` names it."""


@dataclass(frozen=True, slots=True)
class BundlePart:
    """One file of the bundle. `collect` returns its text within `timeout` seconds, or raises NotCollected."""

    file: str
    origin: str
    collect: Callable[[BundleContext], Awaitable[str]]
    timeout: float


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread. The time limit of the part ends the wait."""
    # Each call is a resource of its own, so that one that hangs delays no other.
    return await _CALLS.call(object(), work, timeout=None)


async def find(context: BundleContext, name: str) -> str:
    found = await in_thread(lambda: find_program(name, context.environ.get("PATH")))
    if found is None:
        raise NotCollected(f"there is no {name} on PATH")
    return str(found)


async def output_of(context: BundleContext, name: str, *args: str) -> Finished:
    """Run the program of this name on PATH, with the environment of every child."""
    return await run_program([await find(context, name), *args], child_environment(context.environ), PROGRAM_S)


async def run_program(args: Sequence[str], environ: Mapping[str, str], timeout: float, stdin: bytes = b"") -> Finished:
    try:
        return await run(args, env=environ, stdin=stdin, timeout=timeout, limit=4 * LARGEST)
    except ProcessTimeout:
        raise NotCollected(f"{Path(args[0]).name} did not finish within {timeout:g} s") from None
    except OSError as error:
        raise NotCollected(f"{Path(args[0]).name} cannot be started: {error.strerror}") from error


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
