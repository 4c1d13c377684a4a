"""The parts about the machine: versions, and the state of the unit."""

import asyncio
import platform
import sys
from importlib import metadata
from typing import Final

from agent import __version__
from agent.edge.journal_line import unit_of
from agent.model.text import printable
from agent.support.bundle_part import BundleContext, NotCollected, as_json, output_of

_LIBRARIES: Final = ("aiobotocore", "aiohttp", "botocore", "docker", "prometheus-client", "structlog", "tenacity")
_PROPERTIES: Final = (
    "Id,LoadState,ActiveState,SubState,Result,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,StatusText,"
    "StatusErrno,NRestarts,MainPID,ExecMainStatus,ExecMainCode,ExecMainStartTimestamp,ExecMainExitTimestamp,"
    "ActiveEnterTimestamp,InactiveEnterTimestamp,WatchdogTimestamp,WatchdogUSec,MemoryCurrent,MemoryMax,CPUUsageNSec,"
    "TasksCurrent,TasksMax,Listen,NConnections,NAccepted,NRefused"
)
"""Without `Environment` and `Exec…`, which may contain secrets."""


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
