"""Runs commands as people do: in another process, against a status server in this one."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass
class Ended:
    code: int
    out: str
    err: str


async def start(*args: str, out: int = PIPE, err: int = PIPE, **environ: str) -> asyncio.subprocess.Process:
    """Start `registry-agent ARGS` with 80 columns, and out of reach of an agent on this machine.

    Nobody can create its runtime directory, not even root.
    """
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "PYTHONPATH", "COVERAGE_PROCESS_START")
        if name in os.environ
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        *args,
        env={**kept, "RUNTIME_DIRECTORY": "/proc/nonexistent", "COLUMNS": "80", **environ},
        stdout=out,
        stderr=err,
    )


async def start_with_reader(*args: str) -> tuple[asyncio.subprocess.Process, BinaryIO]:
    """Start `registry-agent ARGS`. Returns the process, and the end of its output's pipe that a test can close."""
    reading, writing = os.pipe()
    try:
        return await start(*args, out=writing), os.fdopen(reading, "rb")
    finally:
        os.close(writing)


async def ended(process: asyncio.subprocess.Process) -> Ended:
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, (out or b"").decode(), (err or b"").decode())


async def command(*args: str, socket: Path | None = None, out: int = PIPE, err: int = PIPE, **environ: str) -> Ended:
    """Run `registry-agent ARGS` to its end. `socket` is passed as `--socket`."""
    place = ("--socket", str(socket)) if socket else ()
    return await ended(await start(*args, *place, out=out, err=err, **environ))
