"""The docker CLI: one `docker login` in a private configuration directory."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.edge.docker_verifier import DockerVerifier
from agent.edge.process import Finished, child_environment, run
from agent.model.credential import Credential
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.registry import Registry

# An entry of any kind keeps the CLI from choosing `pass` or `secretservice` by itself (cli/config: DetectDefaultStore).
_PRIVATE_CONFIG: Final = '{"auths": {"registry-agent.invalid": {}}}'

# Below a directory that never exists (Debian Policy 9.2.2); short, since the CLI fails at a long path as such.
_NO_ENGINE: Final = "unix:///nonexistent/docker.sock"


@dataclass(frozen=True, slots=True)
class LoginResult:
    """How `docker login` ended; `entry` is what it saved for the registry, as it stands in its config.json."""

    finished: Finished
    entry: Mapping[str, Any] | None


class DockerCli:
    """Runs the CLI with a built environment. Logins leave nothing behind but their result."""

    def __init__(self, environ: Mapping[str, str], runtime: Path, logins: Path | None = None) -> None:
        """`logins` is where they run; None: in the directory of that name in `runtime`."""
        self._engine_env: Final = child_environment(environ)
        self._runtime: Final = runtime
        self._logins = logins or runtime / "logins"
        # By default the CLI logs in by itself: an engine that hangs would hang it, and its proxy and CAs are not ours.
        self._alone_env: Final = {
            **{name: value for name, value in self._engine_env.items() if not name.startswith("DOCKER_")},
            "DOCKER_HOST": _NO_ENGINE,
        }
        # Go knows this name alone, and reads the system's directory of roots beside it (crypto/x509, root_unix.go).
        bundle = environ.get("SSL_CERT_FILE") or environ.get("AWS_CA_BUNDLE")
        if bundle:
            self._alone_env["SSL_CERT_FILE"] = bundle
        self._verifier: Final = DockerVerifier(self._alone_env)

    def clean_up(self) -> None:
        """Remove what a killed agent left behind, its logins that still run first: they would write again. Blocking."""
        for place in filter(_is_ours, self._runtime.glob("logins*")):
            for pid in _running_in(place):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(place, ignore_errors=True)

    async def version(self, program: Path) -> str:
        """The version of Docker's own CLI, asked once per program file.

        Raises:
            NotDockersCli: it is another program, or does not work.
        """
        return await self._verifier.version(program)

    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> LoginResult:
        """One `docker login`, with the password on its standard input and a configuration directory of its own.

        The password goes only to a program that proved to be Docker's own CLI.

        Raises:
            NotDockersCli: it did not.
            DockerCliFailed: it was replaced while it started.
            ProcessTimeout: no end within `timeout` seconds.
            OSError: the program cannot be started.
            ConfigUnwritable: the runtime directory takes no file.
        """
        verified = await self._verifier.verify(program)
        try:
            directory = await asyncio.to_thread(self._prepare)
        except OSError as error:
            raise ProblemError(
                ConfigUnwritable(
                    registry.hostname,
                    f"the agent's runtime directory {self._runtime} takes no file: {error.strerror}",
                    hint="make room there, or set RUNTIME_DIRECTORY to a directory that the agent's user can write in",
                )
            ) from error
        try:
            finished = await run(
                [
                    program,
                    "--config",
                    directory,
                    "login",
                    f"--username={credential.username}",
                    "--password-stdin",
                    registry.docker_key,
                ],
                env={
                    **(self._engine_env if through_engine else self._alone_env),
                    # If a script starts podman after all, podman writes here and not into a person's auth.json.
                    "REGISTRY_AUTH_FILE": str(directory / "config.json"),
                },
                stdin=credential.password.reveal().encode(),
                timeout=timeout,
                before_stdin=lambda: self._verifier.confirm(verified),
            )
            return LoginResult(finished, await asyncio.to_thread(_saved, directory, registry))
        finally:
            # Not awaited in a thread: it must happen even while the agent is being cancelled, and it is one small file.
            shutil.rmtree(directory, ignore_errors=True)

    def _prepare(self) -> Path:
        directory = Path(tempfile.mkdtemp(dir=self._place()))
        descriptor = os.open(directory / "config.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_PRIVATE_CONFIG)
        return directory

    def _place(self) -> Path:
        """Where logins run; a name that nobody can foresee where somebody else planted something at the usual one."""
        with contextlib.suppress(FileExistsError):
            self._logins.mkdir(mode=0o700, parents=True)
        if not _is_ours(self._logins):
            self._logins = Path(tempfile.mkdtemp(prefix="logins-", dir=self._runtime))
        return self._logins


def _is_ours(place: Path) -> bool:
    """A directory, no link to one, that only this user can write to: the runtime directory may be as open as /tmp."""
    try:
        found = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _running_in(directory: Path) -> Iterator[int]:
    """Processes with an argument that lies in `directory`; nobody else's lie there."""
    prefix = f"{directory}/".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                arguments = (process / "cmdline").read_bytes().split(b"\0")
                if any(argument.startswith(prefix) for argument in arguments):
                    yield int(process.name)


def _saved(directory: Path, registry: Registry) -> Mapping[str, Any] | None:
    try:
        entry = json.loads((directory / "config.json").read_bytes())["auths"].get(registry.docker_key)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return entry if isinstance(entry, dict) and entry else None
