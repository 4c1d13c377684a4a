"""Describes the machine on which the figures were measured."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def machine(python: Path) -> dict[str, str]:
    """Return the description for the table. It has no host name, only the kind of machine."""
    return {
        "taken_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "processors": f"{len(os.sched_getaffinity(0))} of {_processor()}",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": _said(str(python), "-c", "import platform; print(platform.python_version())"),
        "docker": _said("docker", "--version"),
        "aws": _said("aws", "--version").partition(" ")[0],
        "load_before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(*command: str) -> str:
    try:
        program = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    except OSError:
        return "not there"
    return (program.stdout or program.stderr).strip().partition("\n")[0]
