"""Runs the real agent as a child process, reads its status, and stops it."""

import asyncio
import json
import os
import signal
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiohttp

from agent.demo.workspace import Workspace

_END_S: Final = 15.0
_RECONNECT_S: Final = 0.1
# The agent sends a comment every 15 s, so a minute without data means that it hangs.
_PATIENCE: Final = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=60)


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


async def status_documents(url: str) -> AsyncIterator[dict[str, Any]]:
    """Yield each status document. Never ends: if the stream breaks, it connects again."""
    async with aiohttp.ClientSession(url, timeout=_PATIENCE, read_bufsize=1 << 20) as session:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get("/v1/events", raise_for_status=True) as answer:
                    async for line in answer.content:
                        if line.startswith(b"data:"):
                            yield json.loads(line.removeprefix(b"data:"))
            await asyncio.sleep(_RECONNECT_S)
