"""Runs the docker CLI: each `docker login` in a private configuration directory."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from agent.blocking import BlockingCalls
from agent.edge.docker_engine import DockerEngine
from agent.edge.docker_verifier import DOCKER_PROGRAM, DockerVerifier
from agent.edge.paths import home
from agent.edge.private_directory import PrivateDirectory, remove_abandoned
from agent.edge.process import child_environment, run
from agent.edge.snap import login_directory
from agent.model.credential import Credential
from agent.model.docker_programs import numbers
from agent.model.docker_results import CliResult
from agent.model.hints import runtime_hint
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.registry import Registry
from agent.model.status import Flavor

# With any entry, the CLI does not choose `pass` or `secretservice` by itself (cli/config: DetectDefaultStore).
_PRIVATE_CONFIG: Final = '{"auths": {"registry-agent.invalid": {}}}'

# In a directory that never exists (Debian Policy 9.2.2). Short, because the CLI fails on any long socket path.
_NO_ENGINE: Final = "unix:///nonexistent/docker.sock"
_CALLS: Final = BlockingCalls("runtime")
_RUNTIME_S: Final = 10.0


class DockerCli:
    """Runs the CLI with a restricted environment. A login leaves nothing behind except its result."""

    def __init__(
        self,
        environ: Mapping[str, str],
        runtime: Path,
        engine: DockerEngine | None = None,
        *,
        scrub: Callable[[str], str] = str,
    ) -> None:
        """`engine` is the one that a login can go through. By default, it is the one that `environ` names.

        `scrub` removes known secrets from what a program prints instead of its version.
        """
        self._engine: Final = engine or DockerEngine(environ)
        self._runtime: Final = runtime
        self._snaps: Final = login_directory(home(environ))
        # Without an engine, the CLI logs in by itself. An engine may hang, and has its own proxy and CAs.
        self._alone_env: Final = {
            **{name: value for name, value in child_environment(environ).items() if not name.startswith("DOCKER_")},
            "DOCKER_HOST": _NO_ENGINE,
        }
        # Go knows only this variable, and also reads the system's directory of roots (crypto/x509, root_unix.go).
        bundle = environ.get("SSL_CERT_FILE") or environ.get("AWS_CA_BUNDLE")
        if bundle:
            self._alone_env["SSL_CERT_FILE"] = bundle
        self._verifier: Final = DockerVerifier(self._alone_env, scrub)
        self.installed: tuple[int, ...] | None = None
        """The version of Docker's own CLI that was found last, such as (28, 2, 2). None for podman."""
        self.flavor = Flavor.DOCKER
        """Which program was found last."""

    def clean_up(self) -> None:
        """Remove what a killed agent left behind, and end its running logins. Blocks."""
        for place in (self._runtime, self._snaps):
            remove_abandoned(place)

    async def version(self, program: Path) -> str:
        """Return the version of Docker's own CLI, or of podman. Runs the program only once per program file.

        Raises a ProblemError with NotDockersCli if it is another program or does not work.
        """
        found = await self._verifier.found(program)
        self.flavor = found.flavor
        self.installed = None if self.flavor is Flavor.PODMAN else numbers(found.version)
        return found.version

    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> CliResult:
        """Run one `docker login` with a private configuration directory and the password on standard input.

        Only Docker's own CLI or podman gets the password: the program is verified before it starts and after.

        Raises:
            ProblemError: with NotDockersCli, DockerCliFailed if it was replaced meanwhile, or ConfigUnwritable.
            ProcessTimeout, OSError: it did not end within `timeout` seconds, or cannot be started.
        """
        verified = await self._verifier.verify(program)
        place = self._snaps if verified.flavor is Flavor.SNAP else self._runtime
        try:
            private = await _CALLS.call(
                place, lambda: _prepare(place), timeout=_RUNTIME_S, discard=PrivateDirectory.remove
            )
        except OSError as error:
            reason = error.strerror or "its file system does not answer"
            message = f"the agent's runtime directory {place} cannot be written: {reason}"
            hint = runtime_hint(error.strerror or "", str(place), writer="the agent")
            raise ProblemError(ConfigUnwritable(registry.hostname, message, hint=hint)) from error
        directory = private.path
        try:
            finished = await run(
                _arguments(verified.flavor, program, directory, credential.username, registry),
                env={
                    **self._alone_env,
                    # The context's own address, because the private configuration has no contexts.
                    **((await self._engine.endpoint()).env if through_engine else {}),
                    # podman must write here and not to the person's auth.json. Some versions ignore `--config`.
                    "REGISTRY_AUTH_FILE": str(directory / "config.json"),
                },
                stdin=credential.password.reveal().encode(),
                timeout=timeout,
                before_stdin=lambda: self._verifier.confirm(verified),
                files=DOCKER_PROGRAM,
            )
            saved = await _CALLS.call(place, lambda: _saved(directory, registry), timeout=_RUNTIME_S)
            cli = "podman" if verified.flavor is Flavor.PODMAN else "docker"
            return CliResult(finished.returncode, finished.stderr, saved, cli)
        finally:
            # Not in a thread: it must happen even if this task is cancelled, and it is only one small file.
            private.remove()


def _prepare(place: Path) -> PrivateDirectory:
    private = PrivateDirectory(place)
    try:
        descriptor = os.open(private.path / "config.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_PRIVATE_CONFIG)
    except OSError:
        private.remove()
        raise
    return private


def _arguments(
    flavor: Flavor, program: Path, directory: Path, username: str, registry: Registry
) -> list[str | os.PathLike[str]]:
    options = [f"--username={username}", "--password-stdin"]
    if flavor is Flavor.PODMAN:
        return [program, "login", *options, registry.hostname]
    return [program, "--config", directory, "login", *options, registry.docker_key]


def _saved(directory: Path, registry: Registry) -> Mapping[str, Any] | None:
    """Return the entry that `docker login` saved, or None."""
    try:
        auths = json.loads((directory / "config.json").read_bytes())["auths"]
        # podman has another key for Docker Hub than docker.
        entry = auths.get(registry.docker_key) or auths.get(registry.hostname)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return entry if isinstance(entry, dict) and entry else None
