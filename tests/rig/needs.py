"""What a machine must have for a test; what is missing skips the test by name."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.prepare.step import Step

_TABLE: Final = Path(__file__).parents[2] / "scripts/system-packages.txt"


def need(*programs: str) -> None:
    """Skip the running test unless it runs as root and finds all of `programs`."""
    missing = [_named(program) for program in programs if shutil.which(program) is None]
    if os.geteuid() != 0:
        missing.insert(0, "root (for a network namespace)")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def prepared(step: Step) -> Path:
    """What the set-up has made; where it has not, the running test is skipped, with the command that makes it."""
    if not step.is_made:
        missing = [_named(program) for program in step.missing()]
        why = f" (needs {', '.join(dict.fromkeys(missing))})" if missing else ""
        pytest.skip(f"needs what `python -m tests.prepare {step.name}` makes{why}")
    return step.result


def docker_version() -> tuple[int, int]:
    """The version of the docker CLI on PATH: what it does on loopback changed with 28.4 (docs/docker-versions.md)."""
    told = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = told.removeprefix("Docker version ").split(".")[:2]
    return int(major), int(minor)


def _named(program: str) -> str:
    rows = (line.split() for line in _TABLE.read_text().splitlines() if not line.startswith("#"))
    packages = next((row[2:] for row in rows if row and row[0] == program), [])
    return f"{program} (package {' or '.join(packages)})" if packages else program
