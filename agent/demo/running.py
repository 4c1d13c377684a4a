"""Runs the real agent as a child process, reads its status, and stops it."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from agent.demo.workspace import Workspace

_END_S: Final = 15.0
_RECONNECT_S: Final = 0.1
# The agent sends a comment every 15 s, so a minute without data means that it hangs.
_PATIENCE: Final = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=60)


class RunningAgent:
    """`registry-agent run` in a workspace. It has its own session, so that Ctrl-C reaches only the demo."""

    def __init__(self, workspace: Workspace, aws_url: str) -> None:
        self._workspace: Final = workspace
        self._aws_url: Final = aws_url
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._started.pid

    async def __aenter__(self) -> Self:
        log = await asyncio.to_thread(self._workspace.log.open, "wb")
        with log:
            self._child = await asyncio.create_subprocess_exec(
                *self._workspace.command,
                env=self._workspace.environment(self._aws_url, os.environ),
                cwd=self._workspace.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.end()

    async def ended(self) -> int:
        """Wait until the agent exits by itself. Returns its exit status."""
        return await self._started.wait()

    async def end(self) -> int:
        """Stop the agent. Returns its exit status. If it does not stop in time, it is killed with all its children."""
        child = self._started
        # It may have exited already.
        with suppress(ProcessLookupError):
            child.terminate()
        try:
            async with asyncio.timeout(_END_S):
                return await child.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            return await child.wait()

    async def documents(self) -> AsyncIterator[dict[str, Any]]:
        """Yield each status document. Never ends: if the stream breaks, it connects again."""
        async with aiohttp.ClientSession(timeout=_PATIENCE, read_bufsize=1 << 20) as session:
            while True:
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self._workspace.status_url}/v1/events", raise_for_status=True) as answer:
                        async for line in answer.content:
                            if line.startswith(b"data:"):
                                yield json.loads(line.removeprefix(b"data:"))
                await asyncio.sleep(_RECONNECT_S)

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise RuntimeError("use a RunningAgent inside `async with`")
        return self._child
