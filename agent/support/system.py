"""The parts about the machine: versions, the state of the unit, and the limits of the process."""

import asyncio
import os
import platform
import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from agent import __version__
from agent.edge.journal_line import unit_of
from agent.model.text import printable
from agent.support.bundle_part import BundleContext, NotCollected, as_json, in_thread, output_of

_LIBRARIES: Final = ("aiobotocore", "aiohttp", "botocore", "docker", "prometheus-client", "structlog", "tenacity")
_PROPERTIES: Final = (
    "Id,LoadState,ActiveState,SubState,Result,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,StatusText,"
    "StatusErrno,NRestarts,MainPID,ExecMainStatus,ExecMainCode,ExecMainStartTimestamp,ExecMainExitTimestamp,"
    "ActiveEnterTimestamp,InactiveEnterTimestamp,WatchdogTimestamp,WatchdogUSec,MemoryCurrent,MemoryMax,CPUUsageNSec,"
    "TasksCurrent,TasksMax,Listen,NConnections,NAccepted,NRefused"
)
"""Without `Environment` and `Exec…`, which may contain secrets."""
_STATUS_FIELDS: Final = ("State", "Uid", "Gid", "Groups", "VmPeak", "VmRSS", "Threads", "NoNewPrivs", "Seccomp")


async def versions(context: BundleContext) -> str:
    programs = {
        "docker": ("docker", "--version"),
        "aws": ("aws", "--version"),
        "podman": ("podman", "--version"),
        "systemd": ("systemctl", "--version"),
        "virtualization": ("systemd-detect-virt",),
    }
    # All at once, because each one may take all of the part's time.
    outputs = await asyncio.gather(*(_first_line(context, *args) for args in programs.values()))
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
            **dict(zip(programs, outputs, strict=True)),
        }
    )


async def unit(context: BundleContext) -> str:
    service = unit_of(context.user)
    socket_unit = service.replace(".service", ".socket")
    done = await output_of(
        context, "systemctl", "show", "--no-pager", f"--property={_PROPERTIES}", service, socket_unit
    )
    if done.returncode or not done.stdout:
        raise NotCollected(f"systemctl failed: {printable(done.stderr.decode(errors='replace'), 200)}")
    return done.stdout.decode(errors="replace")


async def process(context: BundleContext) -> str:
    """The limits and sizes of the agent's process from /proc, or of this command if no agent process is found."""
    pid = await in_thread(context.agent.process) or await _main_process(context)
    proc = Path("/proc", str(pid or "self"))
    try:
        limits = await in_thread(Path(proc, "limits").read_text)
        status = await in_thread(Path(proc, "status").read_text)
    except OSError as error:
        raise NotCollected(f"{proc} cannot be read: {error.strerror}") from error
    lines = [line for line in status.splitlines() if line.partition(":")[0] in _STATUS_FIELDS]
    owner = f"the agent, process {pid}" if pid else "this command, because no agent process was found"
    return "\n".join([f"of {owner}", f"host {socket.gethostname()}, user {os.geteuid()}", "", *lines, "", limits])


async def _main_process(context: BundleContext) -> int | None:
    try:
        done = await output_of(context, "systemctl", "show", "--value", "--property=MainPID", unit_of(context.user))
        return int(done.stdout) or None
    except (NotCollected, ValueError):
        return None


async def _first_line(context: BundleContext, *args: str) -> str | None:
    try:
        done = await output_of(context, *args)
    except NotCollected as error:
        return str(error)
    # Some versions of aws print it on standard error.
    output = (done.stdout or done.stderr).decode(errors="replace").strip()
    return printable(output.partition("\n")[0], 300)


def _library(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
