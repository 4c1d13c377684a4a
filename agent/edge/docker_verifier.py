"""Checks that a program is Docker's own CLI or podman, and checks again right before it gets a password."""

import asyncio
import math
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.edge.file_version import signature
from agent.edge.process import Finished, ProcessTimeout, run
from agent.model.docker_programs import foreign_program, is_snap, own_version, podman_version
from agent.model.problem import ProblemError
from agent.model.problems.environment import DockerCliFailed, NotDockersCli
from agent.model.sandbox import needs_privileges
from agent.model.status import Flavor
from agent.model.text import printable

_VERSION_TIMEOUT_S: Final = 20.0
_STAT_TIMEOUT_S: Final = 10.0
_SCRIPT_TRUSTED_S: Final = 5.0
"""A script can start another program tomorrow although its own file is unchanged, so its answer expires."""
_SHOWN: Final = 160
_COMPILED: Final = b"\x7fELF"
DOCKER_PROGRAM: Final = BlockingCalls("docker-program")
"""Reads the file of docker's program. Logins need it, so no other program shares these threads."""

_Identity = tuple[Path, Hashable]
"""A program file. It differs once the path leads to another file, or the file is replaced or written."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A program that identified itself. Valid until `until` (monotonic) or until the file changes."""

    version: str
    flavor: Flavor
    identity: _Identity
    until: float


class DockerVerifier:
    """Runs `docker --version` once per program file. All logins and the tool checks share the answer."""

    def __init__(self, env: Mapping[str, str], scrub: Callable[[str], str] = str) -> None:
        """`scrub` removes known secrets from what a program prints."""
        self._scrub: Final = scrub
        # `docker --version` reads config.json too, so a config.json that hangs (a pipe, a dead mount) would block it.
        self._env: Final = {**env, "DOCKER_CONFIG": "/nonexistent"}
        self._verified: Final[dict[Path, Verified]] = {}
        self._running: Final[dict[_Identity, asyncio.Task[Verified]]] = {}

    async def found(self, program: Path) -> Verified:
        """Check the program that a search has found. It may be gone again.

        Raises a ProblemError with NotDockersCli if it is another program, prints no version, or does not run.
        """
        try:
            return await self.verify(program)
        except OSError as error:
            message = f"{program} does not start: {error.strerror or error}"
            raise ProblemError(NotDockersCli("docker", message)) from error

    async def verify(self, program: Path) -> Verified:
        """Check `program`. A login needs the result.

        Raises the same as `found`, or OSError if the program does not exist or cannot be started.
        """
        identity, compiled = await _identify(program)
        known = self._verified.get(program)
        if known is not None and known.identity == identity and time.monotonic() < known.until:
            return known
        if identity not in self._running:
            task = asyncio.create_task(self._ask(identity, compiled=compiled), name="docker --version")
            self._running[identity] = task
            task.add_done_callback(lambda done: self._answered(identity, done))
        # Shielded: if one caller is cancelled, the others still get the answer.
        return await asyncio.shield(self._running[identity])

    async def confirm(self, verified: Verified) -> None:
        """Confirm, once the program has started, that it is the verified one.

        Raises a ProblemError with DockerCliFailed if it was replaced, or OSError if it is gone.
        """
        program = verified.identity[0]
        identity, _ = await _identify(program)
        if identity != verified.identity:
            message = f"{program} was replaced while a login started; it did not get the password"
            raise ProblemError(DockerCliFailed("docker", message, hint="no action needed: the agent tries again"))

    async def _ask(self, identity: _Identity, *, compiled: bool) -> Verified:
        program = identity[0]
        try:
            finished = await run(
                [program, "--version"], env=self._env, timeout=_VERSION_TIMEOUT_S, files=DOCKER_PROGRAM
            )
        except ProcessTimeout as error:
            message = f"{program} --version did not end within {_VERSION_TIMEOUT_S:g} s"
            raise ProblemError(NotDockersCli("docker", message)) from error
        succeeded = finished.returncode == 0
        own, podman = own_version(finished.stdout), podman_version(finished.stdout)
        version = own or podman
        if version is None or not succeeded:
            raise ProblemError(_refusal(program, finished, self._scrub))
        flavor = Flavor.PODMAN if podman else Flavor.SNAP if is_snap(program) else Flavor.DOCKER
        until = math.inf if compiled else time.monotonic() + _SCRIPT_TRUSTED_S
        verified = self._verified[program] = Verified(version, flavor, identity, until)
        return verified

    def _answered(self, identity: _Identity, task: asyncio.Task[Verified]) -> None:
        del self._running[identity]
        if not task.cancelled():
            task.exception()  # if every caller was cancelled, asyncio would log it as never retrieved


def _refusal(program: Path, finished: Finished, scrub: Callable[[str], str]) -> NotDockersCli:
    foreign = foreign_program(finished.stdout)
    if foreign is not None:
        return NotDockersCli.instead(program, foreign)
    if finished.returncode < 0:
        return NotDockersCli("docker", f"{program} --version was killed by signal {-finished.returncode}")
    if needs_privileges(finished.stderr):
        return NotDockersCli(
            "docker",
            f"{program} cannot start: it may not gain privileges, as in the sandbox of the systemd unit",
            hint="install Docker's own package instead of the snap (`sudo apt install docker.io` on Debian, Ubuntu), "
            "or use the drop-in snap-docker.conf that the installation contains; docs/systemd.md shows how",
        )
    output = scrub((finished.stdout + b"\n" + finished.stderr).decode(errors="replace"))
    words = next((f": {printable(line.strip(), _SHOWN)}" for line in output.split("\n") if line.strip()), "")
    return NotDockersCli("docker", f"{program} --version fails or prints no version{words}")


async def _identify(program: Path) -> tuple[_Identity, bool]:
    """Return the identity of the program file, and whether it is compiled (not a script)."""
    try:
        return await DOCKER_PROGRAM.call(program, lambda: _identify_now(program), timeout=_STAT_TIMEOUT_S)
    except TimeoutError as error:
        message = f"{program} cannot be read: its file system does not answer"
        raise ProblemError(NotDockersCli("docker", message)) from error


def _identify_now(program: Path) -> tuple[_Identity, bool]:
    identity = (program, signature(program))
    try:
        with program.open("rb") as file:
            return identity, file.read(len(_COMPILED)) == _COMPILED
    except PermissionError:  # executable, but not readable
        return identity, False
