"""The machine: versions of everything, the unit's state, the process's limits."""

import asyncio
import os
import platform
import socket
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from agent import __version__
from agent.edge.journal_line import unit_of
from agent.edge.process import child_environment
from agent.model.text import printable
from agent.support.bundle_part import PROGRAM_S, BundleContext, NotCollected, as_json, find, run_program

_LIBRARIES: Final = ("aiobotocore", "aiohttp", "botocore", "docker", "prometheus-client", "structlog", "tenacity")
_PROPERTIES: Final = (
    "Id,LoadState,ActiveState,SubState,Result,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,StatusText,"
    "StatusErrno,NRestarts,MainPID,ExecMainStatus,ExecMainCode,ExecMainStartTimestamp,ExecMainExitTimestamp,"
    "ActiveEnterTimestamp,InactiveEnterTimestamp,WatchdogTimestamp,WatchdogUSec,MemoryCurrent,MemoryMax,CPUUsageNSec,"
    "TasksCurrent,TasksMax,Listen,NConnections,NAccepted,NRefused"
)
"""Not `Environment`, not `Exec…`: what somebody wrote there may be a secret."""
_OF_PROCESS: Final = ("State", "Uid", "Gid", "Groups", "VmPeak", "VmRSS", "Threads", "NoNewPrivs", "Seccomp")


async def versions(ask: BundleContext) -> str:
    programs = {
        "docker": ("docker", "--version"),
        "aws": ("aws", "--version"),
        "podman": ("podman", "--version"),
        "systemd": ("systemctl", "--version"),
        "virtualization": ("systemd-detect-virt",),
    }
    said = await asyncio.gather(*(_first_line(ask, args) for args in programs.values()))
    uname = platform.uname()
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        distribution = None
    return as_json(
        {
            "agent": __version__,
            "python": f"{platform.python_version()} ({sys.executable})",
            "libraries": {name: _library(name) for name in _LIBRARIES},
            "kernel": f"{uname.system} {uname.release} {uname.machine}",
            "distribution": distribution,
            **dict(zip(programs, said, strict=True)),
        }
    )


async def unit(ask: BundleContext) -> str:
    service = unit_of(ask.user)
    socket_unit = service.replace(".service", ".socket")
    args = [await find(ask, "systemctl"), "show", "--no-pager", f"--property={_PROPERTIES}", service, socket_unit]
    done = await run_program(args, child_environment(ask.environ), PROGRAM_S)
    if done.returncode or not done.stdout:
        raise NotCollected(f"systemctl says: {printable(done.stderr.decode(errors='replace'), 200)}")
    return done.stdout.decode(errors="replace")


async def process(ask: BundleContext) -> str:
    """The agent's limits and sizes by /proc, this command's own where no agent is found."""
    number = await asyncio.to_thread(ask.agent.process) or await _main_process(ask)
    proc = Path("/proc", str(number or "self"))
    try:
        limits = await asyncio.to_thread(Path(proc, "limits").read_text)
        status = await asyncio.to_thread(Path(proc, "status").read_text)
    except OSError as fault:
        raise NotCollected(f"{proc} cannot be read: {fault.strerror}") from fault
    lines = [line for line in status.splitlines() if line.partition(":")[0] in _OF_PROCESS]
    whose = f"the agent, process {number}" if number else "this command, since no agent's process was found"
    return "\n".join([f"of {whose}", f"host {socket.gethostname()}, user {os.geteuid()}", "", *lines, "", limits])


async def _main_process(ask: BundleContext) -> int | None:
    try:
        args = [await find(ask, "systemctl"), "show", "--value", "--property=MainPID", unit_of(ask.user)]
        done = await run_program(args, child_environment(ask.environ), PROGRAM_S)
        return int(done.stdout) or None
    except (NotCollected, ValueError):
        return None


async def _first_line(ask: BundleContext, args: Sequence[str]) -> str | None:
    try:
        done = await run_program([await find(ask, args[0]), *args[1:]], child_environment(ask.environ), PROGRAM_S)
    except NotCollected as fault:
        return str(fault)
    said = (done.stdout or done.stderr).decode(errors="replace").strip()
    return printable(said.partition("\n")[0], 300)


def _library(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
