"""Checks regularly what the logins need: the docker CLI, the aws CLI and the Docker engine."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agent.blocking import BlockingCalls
from agent.model.engine import engine_problem
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import DockerCliFailed, DockerCliMissing, no_aws_cli, no_docker
from agent.model.status import Engine, Flavor, Tool, Tools
from agent.services.ports import Board, Clock, FileWatcher, Log, ToolProbes
from agent.services.waiting import until_next_beat

_INTERVAL_S: Final = 15.0
_EVERY: Final = 10
"""The file watcher checks the programs on every tenth of its rounds, which is about every `_INTERVAL_S`."""
_SEARCH_S: Final = 10.0
"""How long a search of PATH may take. If a directory on PATH hangs, the agent reports it and tries again later."""
_FIRST_ATTEMPTS_S: Final = 10.0
"""How long what no login needs waits for the first attempts. One that hangs must not hide that no engine answers."""
_ENGINE_INTERVAL_S: Final = {Engine.REACHABLE: 300.0, Engine.UNRESPONSIVE: 60.0}
"""An engine that accepts connections is checked less often, because each check starts a child process."""


class ToolWatch:
    """Keeps the tools on the board up to date. Logins wait for `docker_ready`: Docker's own CLI is found and works."""

    name: Final = "tools"

    def __init__(
        self,
        probes: ToolProbes,
        clock: Clock,
        board: Board,
        log: Log,
        watcher: FileWatcher,
        *,
        on_docker: Callable[[], None],
    ) -> None:
        """`on_docker` is called when the docker CLI becomes ready."""
        self._probes: Final = probes
        self._clock: Final = clock
        self._board: Final = board
        self._log: Final = log
        self._watcher: Final = watcher
        self._on_docker: Final = on_docker
        self._tools = Tools()
        self._last_aws: tuple[object, Tool] | None = None
        self._docker_problem: Problem | None = None
        self._asks_aws = False
        self._files: Final = BlockingCalls("tools", limit=4)
        self._not_searched: Final[set[str]] = set()
        self._wake: Final = asyncio.Event()
        self._wake_engine: Final = asyncio.Event()
        self._first_engine_check: Final = asyncio.Lock()
        self.looked: Final = asyncio.Event()
        self.docker_ready: Final = asyncio.Event()

    @property
    def docker(self) -> Path | None:
        """The program that logs in: docker, or podman if there is no docker."""
        path = self._tools.docker.path or self._tools.podman.path
        return Path(path) if path else None

    async def engine_reachable(self) -> bool:
        """Return whether an engine answers. Checks that now if it is not known, once for all callers."""
        async with self._first_engine_check:
            if self._tools.engine is Engine.UNKNOWN:
                await self._check_engine()
        return self._tools.engine is Engine.REACHABLE

    def want_aws(self, wanted: bool) -> None:
        """Set whether a login asks AWS for a token. Only then is a missing aws CLI reported."""
        if wanted != self._asks_aws:
            self._asks_aws = wanted
            self._wake.set()

    def wake(self) -> None:
        """Check everything now, including the engine."""
        self._wake.set()
        self._wake_engine.set()

    @property
    def docker_problem(self) -> str:
        """Why `docker_ready` is not set."""
        return self._docker_problem.message if self._docker_problem else "docker has not been found yet"

    def gone(self, program: Path, problem: Problem) -> None:
        """A login failed with `problem` because of this docker. Stops further logins, and checks docker now."""
        # If another docker was found meanwhile, the problem is not about it.
        if self.docker == program:
            self._not_ready(problem, None if isinstance(problem, DockerCliMissing) else program)
            self._wake.set()

    async def run(self) -> None:
        self._watcher.watch(self._program_versions, self._wake, every=_EVERY)
        # Only so that `_check_engine` need not start a thread to read the address.
        self._watcher.watch(self._probes.find_engine, asyncio.Event(), every=_EVERY)
        await self.look()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_programs(), name="tools.programs")
            group.create_task(self._follow_engine(), name="tools.engine")

    async def _follow_programs(self) -> None:
        while True:
            if not self.docker_ready.is_set() or self._not_searched:
                # Poll instead of waiting for the watcher. A broken docker may work again without a changed file, and
                # one that disappears and returns between two checks of the watcher looks unchanged.
                await self._clock.wait(self._wake, until_next_beat(self._clock, _INTERVAL_S))
            else:
                await self._wake.wait()
            self._wake.clear()
            await self._check_docker()
            await self._check_aws()

    async def _follow_engine(self) -> None:
        while True:
            rest_s = _ENGINE_INTERVAL_S.get(self._tools.engine)
            await self._clock.wait(self._wake_engine, rest_s or until_next_beat(self._clock, _INTERVAL_S))
            self._wake_engine.clear()
            await self._check_engine()

    async def find_docker(self) -> None:
        """Check docker once. Logins wait for this, even if it fails."""
        try:
            await self._check_docker()
        finally:
            self.looked.set()

    async def look(self) -> None:
        """Check everything once. docker comes first, because logins wait for it."""
        await self.find_docker()
        # The other checks start programs. Until the first logins are done, these need the processor more.
        await self._clock.wait(self._board.first_attempts_done, _FIRST_ATTEMPTS_S)
        await asyncio.gather(self._check_aws(), self._check_engine())

    async def _check_docker(self) -> None:
        try:
            program = await self._find("docker", self._probes.find_docker)
            search = self._probes.rejected_docker
            rejected = await self._files.call("docker", search, timeout=_SEARCH_S) if program is None else None
        except OSError as error:  # TimeoutError is one
            reason = error.strerror or "the file system of one of its directories does not answer"
            self._report("docker", [DockerCliFailed("docker", f"cannot search PATH for docker: {reason}")])
            return
        if program is None:
            self._not_ready(no_docker(rejected), None)
            return
        try:
            version = await self._probes.docker_version(program)
        except ProblemError as error:
            self._not_ready(error.problem, program)
            return
        self._found(Tool(str(program), version))
        self._report("docker", [])
        self._docker_problem = None
        if not self.docker_ready.is_set():
            self.docker_ready.set()
            self._on_docker()

    def _found(self, tool: Tool) -> None:
        """Show the program that logs in, under the name by which it was found."""
        flavor, alone = self._probes.flavor, Path(tool.path or "").name == "podman"
        podman = tool if flavor is Flavor.PODMAN else Tool()
        self._update(docker=Tool() if alone else tool, podman=podman, flavor=flavor)

    def _not_ready(self, problem: Problem, program: Path | None) -> None:
        self._docker_problem = problem
        self.docker_ready.clear()
        self._update(docker=Tool(str(program)) if program else Tool(), podman=Tool())
        self._report("docker", [problem])

    async def _check_aws(self) -> None:
        try:
            program = await self._find("aws", lambda: self._probes.find("aws"))
            tool = Tool() if program is None else await self._aws_tool(program)
        except OSError:  # TimeoutError is one. The aws CLI is not needed, so this is no news
            return
        self._update(aws=tool)
        self._report("aws", [no_aws_cli()] if self._asks_aws and program is None else [])

    def _program_versions(self) -> Hashable:
        docker, aws = self._probes.find_docker(), self._probes.find("aws")
        return docker and _file_version(docker), aws and _file_version(aws)

    async def _find(self, name: str, search: Callable[[], Path | None]) -> Path | None:
        """Find a program on PATH. Raises TimeoutError if the search hangs, or NoThreadError."""
        self._not_searched.add(name)
        program = await self._files.call(name, search, timeout=_SEARCH_S)
        self._not_searched.remove(name)
        return program

    async def _check_engine(self) -> None:
        answer = await self._probes.engine()
        self._update(engine=answer.state)
        # podman needs no engine.
        problem = engine_problem(answer) if self._tools.flavor is not Flavor.PODMAN else None
        self._report("engine", [problem] if problem else [])

    async def _aws_tool(self, program: Path) -> Tool:
        """The aws CLI. Its version is read only when the program file has changed, because that starts a process."""
        version = await self._files.call(program, lambda: _file_version(program), timeout=_SEARCH_S)
        if self._last_aws is None or self._last_aws[0] != version:
            self._last_aws = (version, Tool(str(program), await self._probes.aws_version(program)))
        return self._last_aws[1]

    def _report(self, tool: str, problems: list[Problem]) -> None:
        self._board.report(f"tools:{tool}", problems, repeat=False)

    def _update(self, **changes: Any) -> None:
        before = self._tools
        self._tools = replace(before, **changes)
        if self._tools != before:
            self._board.set_tools(self._tools)
            self._log.info("tools.changed", **self._tools.as_json())


def _file_version(program: Path) -> Hashable:
    """A value that changes when the program file is replaced."""
    try:
        found = program.stat()
    except OSError:
        return program
    return program, found.st_ino, found.st_size, found.st_mtime_ns
