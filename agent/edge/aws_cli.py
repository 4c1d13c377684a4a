"""The aws CLI. The agent does without it; people's own commands do not."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.edge.process import ProcessTimeout, child_environment, run

_VERSION: Final = re.compile(rb"aws-cli/(\d[\w.+-]*)")
_TIMEOUT_S: Final = 30.0  # a Python program of its own that may start cold


class AwsCli:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._env: Final = child_environment(environ)

    async def version(self, program: Path) -> str | None:
        """The version that `aws --version` tells, None where it does not run or tells none."""
        try:
            finished = await run([program, "--version"], env=self._env, timeout=_TIMEOUT_S)
        except (ProcessTimeout, OSError):
            return None
        found = _VERSION.search(finished.stdout + finished.stderr)
        return found[1].decode() if found else None
