"""Runs the real agent as a child process, reads its log, and stops it."""

import asyncio
import json
import os
import signal
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from agent.demo.workspace import Workspace

_END_S: Final = 15.0
_LOOK_S: Final = 0.1


@asynccontextmanager
async def running_agent(workspace: Workspace, aws_url: str) -> AsyncIterator[Process]:
    """Run `registry-agent run` in a workspace. It has its own session, so that Ctrl-C reaches only the demo."""
    log = await asyncio.to_thread(workspace.log.open, "wb")
    with log:
        agent = await asyncio.create_subprocess_exec(
            *workspace.command,
            env=workspace.environment(aws_url, os.environ),
            cwd=workspace.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield agent
    finally:
        await stop(agent)


async def stop(agent: Process) -> int:
    """Stop the agent. Returns its exit status. If it does not stop in time, it is killed with all its children."""
    # It may have exited already.
    with suppress(ProcessLookupError):
        agent.terminate()
    try:
        async with asyncio.timeout(_END_S):
            return await agent.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(agent.pid, signal.SIGKILL)
        return await agent.wait()


async def log_events(log: Path) -> AsyncIterator[dict[str, Any]]:
    """Yield each event in the agent's log, and wait for the next one. Never ends."""
    unfinished = ""
    with await asyncio.to_thread(log.open, encoding="utf-8", errors="replace") as file:
        while True:
            # The agent may be in the middle of a line.
            unfinished += file.readline()
            if not unfinished.endswith("\n"):
                await asyncio.sleep(_LOOK_S)
                continue
            with suppress(ValueError):  # a line on stderr is not JSON
                yield json.loads(unfinished)
            unfinished = ""
