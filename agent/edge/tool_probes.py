"""Checks the tools: programs on PATH, the docker and aws CLIs, the engine."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.edge.docker_cli import DockerCli
from agent.edge.docker_context import Endpoint
from agent.edge.docker_engine import DockerEngine
from agent.edge.process import ProcessTimeout, child_environment, run
from agent.edge.programs import find_program, rejected_program
from agent.model.engine import EngineAnswer
from agent.model.rejected_program import RejectedProgram
from agent.model.status import Flavor

_AWS_VERSION: Final = re.compile(rb"aws-cli/(\d[\w.+-]*)")
_AWS_TIMEOUT_S: Final = 30.0  # a large Python program, slow to start on a cold machine


class ToolProbes:
    """One object for all checks of tools."""

    def __init__(self, environ: Mapping[str, str], docker: DockerCli, engine: DockerEngine) -> None:
        self._path: Final = environ.get("PATH")
        self._env: Final = child_environment(environ)
        self._docker: Final = docker
        self._engine: Final = engine

    def find(self, name: str) -> Path | None:
        return find_program(name, self._path)

    def rejected(self, name: str) -> RejectedProgram | None:
        return rejected_program(name, self._path)

    def find_docker(self) -> Path | None:
        """Return the program that logs in: docker, or podman if there is no docker."""
        return self.find("docker") or self.find("podman")

    def rejected_docker(self) -> RejectedProgram | None:
        return self.rejected("docker") or self.rejected("podman")

    async def docker_version(self, program: Path) -> str:
        return await self._docker.version(program)

    @property
    def flavor(self) -> Flavor:
        """Which docker was found last."""
        return self._docker.flavor

    async def aws_version(self, program: Path) -> str | None:
        """Return the version that `aws --version` prints, or None if it does not run or prints none."""
        try:
            finished = await run([program, "--version"], env=self._env, timeout=_AWS_TIMEOUT_S)
        except (ProcessTimeout, OSError):
            return None
        found = _AWS_VERSION.search(finished.stdout + finished.stderr)
        return found[1].decode() if found else None

    def find_engine(self) -> Endpoint:
        return self._engine.find()

    async def engine(self) -> EngineAnswer:
        return await self._engine.ask()
