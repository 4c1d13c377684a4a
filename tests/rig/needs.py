"""What a machine needs for a test. If something is missing, the test is skipped with its name."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.prepare.step import Step

_TABLE: Final = Path(__file__).parents[2] / "scripts/system-packages.txt"


def need_root(why: str) -> None:
    """Skip the running test unless it runs as root."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root ({why})")


def need_fuse() -> None:
    """Skip the running test unless it may mount a FUSE file system."""
    need_root("to mount a file system that hangs")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/fuse (kernel module fuse)")


def need(*programs: str) -> None:
    """Skip the running test unless it runs as root and all `programs` are installed."""
    missing = [_named(program) for program in programs if shutil.which(program) is None]
    if os.geteuid() != 0:
        missing.insert(0, "root (for a network namespace)")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def prepared(step: Step) -> Path:
    """The result of a set-up step. If it is missing, skip the running test, and name the command that makes it."""
    if not step.is_made:
        missing = [_named(program) for program in step.missing()]
        why = f" (needs {', '.join(dict.fromkeys(missing))})" if missing else ""
        pytest.skip(f"needs what `python -m tests.prepare {step.name}` makes{why}")
    return step.result


def docker_version() -> tuple[int, int]:
    """The version of the docker CLI on PATH. Its behaviour on loopback changed with 28.4 (docs/docker-versions.md)."""
    output = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = output.removeprefix("Docker version ").split(".")[:2]
    return int(major), int(minor)


def _named(program: str) -> str:
    rows = (line.split() for line in _TABLE.read_text().splitlines() if not line.startswith("#"))
    packages = next((row[2:] for row in rows if row and row[0] == program), [])
    return f"{program} (package {' or '.join(packages)})" if packages else program
