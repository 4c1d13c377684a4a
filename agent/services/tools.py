"""Looks again and again at what the logins need: the docker CLI, the aws CLI, an engine."""

import asyncio
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final, Protocol

from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import (
    AwsCliMissing,
    DockerCliFailed,
    DockerCliMissing,
    EngineUnreachable,
    EngineUnresponsive,
    no_docker,
)
from agent.model.status import Engine, Tool, Tools
from agent.services.waiting import Clock, FileWatcher, until_next_beat, wait_for_change

_INTERVAL_S: Final = 15.0
_EVERY: Final = 10
"""In so many looks of the watcher, one at the programs: about as often."""
_SEARCH_S: Final = 10.0
"""A directory on PATH whose file system hangs is given up for now after this, and the status says so."""
_ENGINE_INTERVAL_S: Final = {Engine.REACHABLE: 300.0, Engine.UNRESPONSIVE: 60.0}
"""An engine that can be connected to is asked this seldom: each look costs a short-lived child."""


class ToolBoard(Protocol):
    def report(self, owner: str, problems: tuple[Problem, ...] = ()) -> None: ...
    def set_tools(self, tools: Tools) -> None: ...


class Log(Protocol):
    def info(self, event: str, **fields: object) -> None: ...


class Probes(Protocol):
    """How the tools are looked at. Only `docker_version` raises: a `Problem` where it is not Docker's own CLI."""

    def find(self, name: str) -> Path | None: ...
    async def docker_version(self, program: Path) -> str: ...
    async def aws_version(self, program: Path) -> str | None: ...
    async def engine(self) -> Engine: ...


class ToolWatch:
    """Keeps the board's tools true. Logins wait for `docker_ready`: Docker's own CLI is there and works."""

    name: Final = "tools"

    def __init__(
        self,
        probes: Probes,
        clock: Clock,
        board: ToolBoard,
        log: Log,
        watcher: FileWatcher,
        *,
        engine_address: str,
        on_docker: Callable[[], None],
    ) -> None:
        """`on_docker` hears when the docker CLI has become ready."""
        self._probes: Final = probes
        self._clock: Final = clock
        self._board: Final = board
        self._log: Final = log
        self._watcher: Final = watcher
        self._engine_address: Final = engine_address
        self._on_docker: Final = on_docker
        self._tools = Tools()
        self._aws_seen: tuple[object, Tool] | None = None
        self._docker_problem: Problem | None = None
        self._reported: dict[str, tuple[tuple[object, ...], ...]] = {}
        self._ecr_wanted = False
        self._searches: Final[dict[str, asyncio.Task[Path | None]]] = {}
        self._wake: Final = asyncio.Event()
        self._wake_engine: Final = asyncio.Event()
        self.looked: Final = asyncio.Event()
        self.docker_ready: Final = asyncio.Event()

    @property
    def docker(self) -> Path | None:
        return Path(self._tools.docker.path) if self._tools.docker.path else None

    @property
    def engine_reachable(self) -> bool:
        return self._tools.engine is Engine.REACHABLE

    def want_aws(self, wanted: bool) -> None:
        """Whether there are ECR secrets, so that a missing aws CLI is worth a word."""
        if wanted != self._ecr_wanted:
            self._ecr_wanted = wanted
            self._wake.set()

    def wake(self) -> None:
        """Look at everything now, the engine too."""
        self._wake.set()
        self._wake_engine.set()

    @property
    def docker_problem(self) -> str:
        """Why `docker_ready` is not set."""
        return self._docker_problem.message if self._docker_problem else "docker was not found yet"

    def lost(self, program: Path, problem: Problem) -> None:
        """A login met `problem` with this docker: no more logins until the next look, which is now."""
        if self.docker == program:
            self._not_ready(problem, None if isinstance(problem, DockerCliMissing) else program)
            self._wake.set()

    async def run(self) -> None:
        self._watcher.watch(self._programs, self._wake, every=_EVERY)
        await self.look()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_programs(), name="tools.programs")
            group.create_task(self._follow_engine(), name="tools.engine")

    async def _follow_programs(self) -> None:
        while True:
            if self._tools.docker.version is None:
                # It does not work and may again, or comes back between two looks of the watcher: no other file.
                await self._clock.wait(self._wake, until_next_beat(self._clock, _INTERVAL_S))
                self._wake.clear()
            else:
                await wait_for_change(self._clock, self._watcher, self._wake, _INTERVAL_S)
            await self._look_at_docker()
            await self._look_at_aws()

    async def _follow_engine(self) -> None:
        while True:
            rest_s = _ENGINE_INTERVAL_S.get(self._tools.engine)
            await self._clock.wait(self._wake_engine, rest_s or until_next_beat(self._clock, _INTERVAL_S))
            self._wake_engine.clear()
            await self._look_at_engine()

    async def look(self) -> None:
        """One look at everything, docker first, since logins wait for it; the aws CLI and the engine are slower."""
        try:
            await self._look_at_docker()
        finally:
            self.looked.set()
        await asyncio.gather(self._look_at_aws(), self._look_at_engine())

    async def _look_at_docker(self) -> None:
        try:
            program = await self._find("docker")
        except TimeoutError:
            hangs = "PATH cannot be searched for docker: the file system of one of its directories does not answer"
            self._report("docker", [DockerCliFailed("docker", hangs)])
            return
        if program is None:
            self._not_ready(no_docker(), None)
            return
        try:
            version = await self._probes.docker_version(program)
        except ProblemError as error:
            problem = error.problem
            self._not_ready(problem, program)
            return
        self._set(docker=Tool(str(program), version))
        self._report("docker", [])
        self._docker_problem = None
        if not self.docker_ready.is_set():
            self.docker_ready.set()
            self._on_docker()

    def _not_ready(self, problem: Problem, program: Path | None) -> None:
        self._docker_problem = problem
        self.docker_ready.clear()
        self._set(docker=Tool(str(program)) if program else Tool())
        self._report("docker", [problem])

    async def _look_at_aws(self) -> None:
        try:
            program = await self._find("aws")
        except TimeoutError:
            return
        tool = Tool() if program is None else await self._aws_tool(program)
        self._set(aws=tool)
        missing = self._ecr_wanted and program is None
        self._report(
            "aws", [AwsCliMissing("aws", "there is no aws on PATH; the agent logs in to ECR without it")] * missing
        )

    def _programs(self) -> Hashable:
        found = (self._probes.find(name) for name in ("docker", "aws"))
        return tuple(program and _mark(program) for program in found)

    async def _find(self, name: str) -> Path | None:
        """The program on PATH. A search that hangs is the only one until it ends: each keeps a thread.

        Raises:
            TimeoutError: it hangs.
        """
        if name not in self._searches:
            self._searches[name] = asyncio.create_task(asyncio.to_thread(self._probes.find, name))
        done, _ = await asyncio.wait({self._searches[name]}, timeout=_SEARCH_S)
        if not done:
            raise TimeoutError
        return self._searches.pop(name).result()

    async def _look_at_engine(self) -> None:
        engine = await self._probes.engine()
        self._set(engine=engine)
        self._report("engine", self._engine_problems(engine))

    def _engine_problems(self, engine: Engine) -> list[Problem]:
        match engine:
            case Engine.UNREACHABLE:
                return [EngineUnreachable("engine", f"no Docker engine answers at {self._engine_address}")]
            case Engine.UNRESPONSIVE:
                return [
                    EngineUnresponsive(
                        "engine", f"the Docker engine at {self._engine_address} takes connections and does not answer"
                    )
                ]
        return []

    async def _aws_tool(self, program: Path) -> Tool:
        """The aws CLI, its version asked only when the program is another one than last time."""
        mark = await asyncio.to_thread(_mark, program)
        if self._aws_seen is None or self._aws_seen[0] != mark:
            self._aws_seen = (mark, Tool(str(program), await self._probes.aws_version(program)))
        return self._aws_seen[1]

    def _report(self, tool: str, problems: list[Problem]) -> None:
        """Report what is new only: a look that finds the same again is no news."""
        said = tuple((problem.key, problem.message) for problem in problems)
        if self._reported.get(tool, ()) != said:
            self._reported[tool] = said
            self._board.report(f"tools:{tool}", tuple(problems))

    def _set(self, *, docker: Tool | None = None, aws: Tool | None = None, engine: Engine | None = None) -> None:
        before = self._tools
        self._tools = Tools(docker or before.docker, aws or before.aws, engine or before.engine)
        if self._tools != before:
            self._board.set_tools(self._tools)
            self._log.info("tools.changed", **self._tools.as_json())


def _mark(program: Path) -> Hashable:
    """What tells one program file from another."""
    try:
        found = program.stat()
    except OSError:
        return program
    return program, found.st_ino, found.st_size, found.st_mtime_ns
