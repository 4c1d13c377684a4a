"""Runs the programs of this campaign, with their own mounts if they need some."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.rig.namespace import environment

_ROOT: Final = Path(__file__).parents[3]
_PACKAGE: Final = "tests.torture.config_json"

MOUNTED: Final = "touch outside .docker/config.json && mount --bind outside .docker/config.json\n"
"""Makes config.json a mount point."""


def seen_by(program: str, directory: Path, *arguments: str | int, prepare: str) -> dict[str, Any]:
    """Run the shell script `prepare` in the parent of `directory`, then `program` on `directory`. Return its output."""
    command = shlex.join([sys.executable, "-m", f"{_PACKAGE}.{program}", str(directory), *map(str, arguments)])
    script = f"cd {shlex.quote(str(directory.parent))}\n{prepare}\ncd {shlex.quote(str(_ROOT))} && exec {command}"
    shell = ["sh", "-euc", script]
    unshare = _unshare() if "mount " in prepare else ()
    done = subprocess.run([*unshare, *shell], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def _unshare() -> tuple[str, str]:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0 or subprocess.run([unshare, "-m", "true"], check=False).returncode != 0:
        pytest.skip("needs root and unshare(1), to mount something")
    return unshare, "-m"
