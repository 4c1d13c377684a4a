"""What a part of the bundle is, and how it runs a program."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from agent.edge.agent_client import AgentClient
from agent.edge.process import Finished, ProcessTimeout, run
from agent.edge.programs import find_program
from agent.settings_loader import Loaded

LARGEST: Final = 2 << 20
"""Characters of one part; of a longer one the end is kept, which is the newest."""
PROGRAM_S: Final = 8.0


class NotCollected(Exception):  # noqa: N818 - a fact that the list of what is in the bundle tells
    """A part cannot be had; the text says why."""


@dataclass(frozen=True, slots=True)
class BundleContext:
    """What all parts need to know."""

    loaded: Loaded
    config: Path | None
    flags: Mapping[str, str]
    environ: Mapping[str, str]
    user: str
    agent: AgentClient
    now: datetime
    socket: Path | None = None
    """Where somebody said that the agent listens."""


@dataclass(frozen=True, slots=True)
class BundlePart:
    """`collect` gives a text, or raises `Missing` or OSError; it gets `timeout` seconds."""

    file: str
    origin: str
    collect: Callable[[BundleContext], Awaitable[str]]
    timeout: float


async def find(ask: BundleContext, name: str) -> str:
    found = await asyncio.to_thread(find_program, name, ask.environ.get("PATH"))
    if found is None:
        raise NotCollected(f"there is no {name} on PATH")
    return str(found)


async def run_program(args: Sequence[str], environ: Mapping[str, str], timeout: float) -> Finished:
    try:
        return await run(args, env=environ, timeout=timeout, limit=4 * LARGEST)
    except ProcessTimeout:
        raise NotCollected(f"{Path(args[0]).name} does not end within {timeout:g} s") from None
    except OSError as fault:
        raise NotCollected(f"{Path(args[0]).name} does not start: {fault.strerror}") from fault


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
