"""Finds the version of the aws CLI. The agent does not need it, but people's own commands do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.edge.process import ProcessTimeout, child_environment, run

_VERSION: Final = re.compile(rb"aws-cli/(\d[\w.+-]*)")
_TIMEOUT_S: Final = 30.0  # a large Python program, slow to start on a cold machine


class AwsCli:
    """Runs the aws CLI with a restricted environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._env: Final = child_environment(environ)

    async def version(self, program: Path) -> str | None:
        """Return the version that `aws --version` prints, or None if it does not run or prints none."""
        try:
            finished = await run([program, "--version"], env=self._env, timeout=_TIMEOUT_S)
        except (ProcessTimeout, OSError):
            return None
        found = _VERSION.search(finished.stdout + finished.stderr)
        return found[1].decode() if found else None
