"""Whether the program called `docker` is Docker's own CLI, and whether it still is when a password is handed to it."""

import asyncio
import errno
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.edge.process import Finished, ProcessTimeout, run
from agent.edge.threads import WorkerThreads
from agent.model.docker_programs import foreign_program, own_version
from agent.model.problem import ProblemError
from agent.model.problems.environment import DockerCliFailed, NotDockersCli

_VERSION_TIMEOUT_S: Final = 20.0
_LOOK_TIMEOUT_S: Final = 10.0
_SCRIPT_TRUSTED_S: Final = 5.0
"""A script may start another program tomorrow without changing itself, so its answer does not last."""
_COMPILED: Final = b"\x7fELF"
# One look at a time: where the directory hangs, each would keep a thread for good.
_LOOKING: Final = WorkerThreads(1, "docker-program")


@dataclass(frozen=True, slots=True)
class _Identity:
    """Changes when another program takes this path, or the file behind its links is replaced or written."""

    program: Path
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Verified:
    """A program that said it is Docker's own CLI; holds until `until` (monotonic) or until the file is another one."""

    version: str
    identity: _Identity
    until: float


class DockerVerifier:
    """Runs `docker --version` once per program file. All logins and the tools' probe share the answer."""

    def __init__(self, env: Mapping[str, str]) -> None:
        # A config.json that hangs (a pipe, a dead file system) would hang `docker --version` too.
        self._env: Final = {**env, "DOCKER_CONFIG": "/nonexistent"}
        self._verified: Final[dict[Path, Verified]] = {}
        self._asking: Final[dict[_Identity, asyncio.Task[Verified]]] = {}

    async def version(self, program: Path) -> str:
        """The version of Docker's own CLI.

        Raises:
            NotDockersCli: it is another program, or nothing that it prints can be understood, or it does not run.
        """
        try:
            return (await self.verify(program)).version
        except OSError as error:
            raise ProblemError(
                NotDockersCli("docker", f"{program} does not start: {error.strerror or error}")
            ) from error

    async def verify(self, program: Path) -> Verified:
        """The proof that a login through `program` needs.

        Raises:
            NotDockersCli: as above.
            OSError: it is not there, or cannot be started.
        """
        identity, compiled = await _look(program)
        known = self._verified.get(program)
        if known is not None and known.identity == identity and time.monotonic() < known.until:
            return known
        if identity not in self._asking:
            task = asyncio.create_task(self._ask(identity, compiled=compiled), name="docker --version")
            self._asking[identity] = task
            task.add_done_callback(lambda done: self._answered(identity, done))
        # Shielded: a caller that is cancelled must not take the answer from the others.
        return await asyncio.shield(self._asking[identity])

    async def confirm(self, verified: Verified) -> None:
        """See, once the program has started, that it was the verified one.

        Raises:
            DockerCliFailed: the file was replaced meanwhile.
            OSError: it is not there any more.
        """
        identity, _ = await _look(verified.identity.program)
        if identity != verified.identity:
            message = f"{identity.program} was replaced while a login started; the password was not handed to it"
            raise ProblemError(DockerCliFailed("docker", message, hint="no action needed: the agent tries again"))

    async def _ask(self, identity: _Identity, *, compiled: bool) -> Verified:
        program = identity.program
        try:
            finished = await run([program, "--version"], env=self._env, timeout=_VERSION_TIMEOUT_S)
        except ProcessTimeout as error:
            message = f"{program} --version did not end within {_VERSION_TIMEOUT_S:g} s"
            raise ProblemError(NotDockersCli("docker", message)) from error
        version = own_version(finished.stdout) if finished.returncode == 0 else None
        if version is None:
            raise ProblemError(_refusal(program, finished))
        until = math.inf if compiled else time.monotonic() + _SCRIPT_TRUSTED_S
        verified = self._verified[program] = Verified(version, identity, until)
        return verified

    def _answered(self, identity: _Identity, task: asyncio.Task[Verified]) -> None:
        del self._asking[identity]
        if not task.cancelled():
            task.exception()  # a caller that was cancelled does not fetch it


def _refusal(program: Path, finished: Finished) -> NotDockersCli:
    foreign = foreign_program(finished.stdout)
    if foreign is not None:
        return NotDockersCli.instead(program, foreign)
    if finished.returncode < 0:
        return NotDockersCli("docker", f"{program} --version was killed by signal {-finished.returncode}")
    return NotDockersCli("docker", f"{program} --version fails or prints nothing that can be understood")


async def _look(program: Path) -> tuple[_Identity, bool]:
    try:
        async with asyncio.timeout(_LOOK_TIMEOUT_S):
            return await asyncio.get_running_loop().run_in_executor(_LOOKING, _look_now, program)
    except TimeoutError as error:
        raise ProblemError(
            NotDockersCli("docker", f"{program} cannot be read: its file system does not answer")
        ) from error
    except RuntimeError as error:  # no thread: a limit on processes
        raise OSError(errno.EAGAIN, str(error)) from error


def _look_now(program: Path) -> tuple[_Identity, bool]:
    found = program.stat()
    identity = _Identity(program, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    try:
        with program.open("rb") as file:
            return identity, file.read(len(_COMPILED)) == _COMPILED
    except PermissionError:  # it may be run, not read
        return identity, False
