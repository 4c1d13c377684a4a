"""Checks the tools: programs on PATH, the docker and aws CLIs, the engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.edge.aws_cli import AwsCli
from agent.edge.docker_cli import DockerCli
from agent.edge.docker_context import Endpoint
from agent.edge.docker_engine import DockerEngine
from agent.edge.programs import find_program
from agent.model.engine import EngineAnswer
from agent.model.status import Flavor


class ToolProbes:
    """One object for all checks of tools. Each check is described in its own module."""

    def __init__(self, environ: Mapping[str, str], docker: DockerCli, engine: DockerEngine) -> None:
        self._path: Final = environ.get("PATH")
        self._docker: Final = docker
        self._aws: Final = AwsCli(environ)
        self._engine: Final = engine

    def find(self, name: str) -> Path | None:
        return find_program(name, self._path)

    async def docker_version(self, program: Path) -> str:
        return await self._docker.version(program)

    @property
    def flavor(self) -> Flavor:
        """Which docker was found last."""
        return self._docker.flavor

    async def aws_version(self, program: Path) -> str | None:
        return await self._aws.version(program)

    def find_engine(self) -> Endpoint:
        return self._engine.find()

    async def engine(self) -> EngineAnswer:
        return await self._engine.ask()
