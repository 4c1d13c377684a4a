"""Runs the docker CLI: each `docker login` in a private configuration directory."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from agent.edge.docker_verifier import DockerVerifier
from agent.edge.process import child_environment, run
from agent.model.credential import Credential
from agent.model.docker_errors import CliResult
from agent.model.docker_programs import numbers
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.registry import Registry

# With any entry, the CLI does not choose `pass` or `secretservice` by itself (cli/config: DetectDefaultStore).
_PRIVATE_CONFIG: Final = '{"auths": {"registry-agent.invalid": {}}}'

# In a directory that never exists (Debian Policy 9.2.2). Short, because the CLI fails on any long socket path.
_NO_ENGINE: Final = "unix:///nonexistent/docker.sock"


class DockerCli:
    """Runs the CLI with a restricted environment. A login leaves nothing behind except its result."""

    def __init__(self, environ: Mapping[str, str], runtime: Path, logins: Path | None = None) -> None:
        """`logins` is the directory in which logins run. None means the directory `logins` in `runtime`."""
        self._engine_env: Final = child_environment(environ)
        self._runtime: Final = runtime
        self._logins = logins or runtime / "logins"
        # Without an engine, the CLI logs in by itself. An engine may hang, and has its own proxy and CAs.
        self._alone_env: Final = {
            **{name: value for name, value in self._engine_env.items() if not name.startswith("DOCKER_")},
            "DOCKER_HOST": _NO_ENGINE,
        }
        # Go knows only this variable, and also reads the system's directory of roots (crypto/x509, root_unix.go).
        bundle = environ.get("SSL_CERT_FILE") or environ.get("AWS_CA_BUNDLE")
        if bundle:
            self._alone_env["SSL_CERT_FILE"] = bundle
        self._verifier: Final = DockerVerifier(self._alone_env)
        self.installed: tuple[int, ...] | None = None
        """The version of the CLI that was found last, such as (28, 2, 2)."""

    def clean_up(self) -> None:
        """Remove what a killed agent left behind. Kill its running logins first: they would write again. Blocks."""
        for place in filter(_is_ours, self._runtime.glob("logins*")):
            for pid in _running_in(place):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(place, ignore_errors=True)

    async def version(self, program: Path) -> str:
        """Return the version of Docker's own CLI. Runs the program only once per program file.

        Raises:
            ProblemError: with NotDockersCli if it is another program or does not work.
        """
        version = await self._verifier.version(program)
        self.installed = numbers(version)
        return version

    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> CliResult:
        """Run one `docker login` with a private configuration directory and the password on standard input.

        Only Docker's own CLI gets the password: the program is verified before it starts and after.

        Raises:
            ProblemError: with NotDockersCli if it is another program, DockerCliFailed if it was replaced while it
                started, or ConfigUnwritable if the runtime directory is not writable.
            ProcessTimeout: it did not end within `timeout` seconds.
            OSError: the program cannot be started.
        """
        verified = await self._verifier.verify(program)
        try:
            directory = await asyncio.to_thread(self._prepare)
        except OSError as error:
            raise ProblemError(
                ConfigUnwritable(
                    registry.hostname,
                    f"the agent's runtime directory {self._runtime} cannot be written: {error.strerror}",
                    hint="free up space there, or set RUNTIME_DIRECTORY to a directory that the agent can write to",
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
                    # If a script starts podman after all, podman must write here and not to the person's auth.json.
                    "REGISTRY_AUTH_FILE": str(directory / "config.json"),
                },
                stdin=credential.password.reveal().encode(),
                timeout=timeout,
                before_stdin=lambda: self._verifier.confirm(verified),
            )
            saved = await asyncio.to_thread(_saved, directory, registry)
            return CliResult(finished.returncode, finished.stderr, saved)
        finally:
            # Not in a thread: it must happen even if this task is cancelled, and it is only one small file.
            shutil.rmtree(directory, ignore_errors=True)

    def _prepare(self) -> Path:
        # mkdtemp creates a directory with mode 0700 and a random name.
        directory = Path(tempfile.mkdtemp(dir=self._login_directory()))
        descriptor = os.open(directory / "config.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_PRIVATE_CONFIG)
        return directory

    def _login_directory(self) -> Path:
        """Return the directory for logins. Use a random name if another user owns the usual one."""
        with contextlib.suppress(FileExistsError):
            self._logins.mkdir(mode=0o700, parents=True)
        if not _is_ours(self._logins):
            self._logins = Path(tempfile.mkdtemp(prefix="logins-", dir=self._runtime))
        return self._logins


def _is_ours(place: Path) -> bool:
    """Return whether it is a real directory that only this user can write to. The runtime directory may be /tmp."""
    try:
        found = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _running_in(directory: Path) -> Iterator[int]:
    """Return the processes with a path in `directory` among their arguments. These are always logins of the agent."""
    prefix = f"{directory}/".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                arguments = (process / "cmdline").read_bytes().split(b"\0")
                if any(argument.startswith(prefix) for argument in arguments):
                    yield int(process.name)


def _saved(directory: Path, registry: Registry) -> Mapping[str, Any] | None:
    """Return the entry that `docker login` saved, or None."""
    try:
        entry = json.loads((directory / "config.json").read_bytes())["auths"].get(registry.docker_key)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return entry if isinstance(entry, dict) and entry else None
