"""One `docker login`, with the agent's own look at the registry beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from agent.model import hints
from agent.model.credential import AwsIdentity, Credential
from agent.model.docker_config import ConfigError, Entry, decode_entry
from agent.model.docker_errors import (
    CliOutput,
    Fault,
    ProbeResult,
    cli_failed,
    clock_skew,
    explain,
    not_a_registry,
    read_stderr,
)
from agent.model.plan import Login
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import NotDockersCli, no_docker
from agent.model.problems.registry import (
    LoginRejected,
    RegistryDns,
    RegistryTimeout,
    RegistryTls,
    RegistryUnreachable,
)
from agent.model.registry import Registry
from agent.model.secret import Kind

_LOOK_S: Final = 10.0
_LOOK_AFTER_S: Final = 2.0
_STARTS: Final = 32
_START_S: Final = 2.0
_NETWORK: Final = (RegistryDns, RegistryUnreachable, RegistryTls, RegistryTimeout)


class Finished(Protocol):
    @property
    def returncode(self) -> int: ...
    @property
    def stderr(self) -> bytes: ...


class CliResult(Protocol):
    @property
    def finished(self) -> Finished: ...
    @property
    def entry(self) -> Mapping[str, Any] | None: ...


class Cli(Protocol):
    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> CliResult: ...


class Probe(Protocol):
    async def probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult: ...


class Tools(Protocol):
    @property
    def docker(self) -> Path | None: ...
    @property
    def engine_reachable(self) -> bool: ...
    def lost(self, program: Path, problem: Problem) -> None:
        """It is gone, or is not Docker's own CLI any more."""
        ...


@dataclass(frozen=True, slots=True)
class DockerLoginResult:
    """What `docker login` would have saved, and what is amiss all the same (a clock that is off)."""

    entry: Entry
    problems: tuple[Problem, ...] = ()


class DockerLogin:
    """Proves a credential by the real `docker login`.

    The CLI logs in by itself. Where that fails for the network's sake and an engine answers, the engine is asked
    too: it may know a proxy, a CA or an insecure registry that the CLI does not.
    """

    def __init__(self, cli: Cli, probe: Probe, tools: Tools, timeout_s: Callable[[], float]) -> None:
        self._cli: Final = cli
        self._probe: Final = probe
        self._tools: Final = tools
        self._timeout_s: Final = timeout_s
        self._starts: Final = asyncio.Semaphore(_STARTS)

    async def log_in(self, login: Login, credential: Credential) -> DockerLoginResult:
        """One attempt.

        Raises:
            ProblemError: why it failed, by class.
        """
        async with self._slot():
            try:
                return await self._log_in(login, credential, through_engine=False)
            except ProblemError as error:
                first = error.problem
                if not isinstance(first, _NETWORK) or not self._tools.engine_reachable:
                    raise
            try:
                return await self._log_in(login, credential, through_engine=True)
            except ProblemError as error:
                second = error.problem
                # A registry's own answer tells more than a network that only the CLI could not pass.
                raise ProblemError(first if isinstance(second, _NETWORK) else second) from None

    async def _log_in(self, login: Login, credential: Credential, *, through_engine: bool) -> DockerLoginResult:
        registry, timeout = login.registry, self._timeout_s()
        look = asyncio.create_task(self._probe.probe(registry, None, min(timeout, _LOOK_S)))
        try:
            result = await self._run_cli(registry, credential, look, timeout, through_engine=through_engine)
            if result.finished.returncode == 0 and result.entry is not None:
                return self._accepted(registry, result.entry, await _result_soon(look))
            problem = await self._refused(login, credential, result, await look, through_engine=through_engine)
            raise ProblemError(problem)
        finally:
            look.cancel()

    async def _run_cli(
        self,
        registry: Registry,
        credential: Credential,
        look: asyncio.Task[ProbeResult],
        timeout: float,
        *,
        through_engine: bool,
    ) -> CliResult:
        program = self._program()
        try:
            return await self._cli.login(program, registry, credential, timeout=timeout, through_engine=through_engine)
        except ProblemError as error:
            if isinstance(error.problem, NotDockersCli):
                self._tools.lost(program, error.problem)
            raise
        except TimeoutError:
            raise ProblemError(await self._timed_out(registry, timeout, await look)) from None
        except OSError as error:
            # A script whose interpreter is missing gives the same error, and is there.
            if isinstance(error, FileNotFoundError) and not await asyncio.to_thread(program.exists):
                missing = no_docker()
                self._tools.lost(program, missing)
                raise ProblemError(missing) from None
            message = f"it cannot be started: {error.strerror or error}"
            raise ProblemError(cli_failed(registry.hostname, message)) from None

    def _program(self) -> Path:
        program = self._tools.docker
        if program is None:
            raise ProblemError(no_docker())
        return program

    def _accepted(self, registry: Registry, saved: Mapping[str, Any], probe: ProbeResult | None) -> DockerLoginResult:
        try:
            entry = decode_entry(saved, registry.docker_key)
        except ConfigError:
            entry = None
        if entry is None:
            raise ProblemError(cli_failed(registry.hostname, "it saved nothing that can be read"))
        if probe is not None and not probe.registry:
            raise ProblemError(not_a_registry(registry.hostname, probe))
        skew = clock_skew(probe, registry.hostname)
        return DockerLoginResult(entry, (skew,) if skew else ())

    async def _refused(
        self, login: Login, credential: Credential, result: CliResult, probe: ProbeResult, *, through_engine: bool
    ) -> Problem:
        hostname = login.registry.hostname
        code, stderr = result.finished.returncode, result.finished.stderr
        if code < 0:
            return cli_failed(hostname, f"it was killed by signal {-code}")
        if code == 0:
            return cli_failed(hostname, "it saved nothing that can be read")
        said = read_stderr(stderr)
        if code != 1 or not said.text:
            return cli_failed(hostname, f"exit code {code}, {said.text or 'and it printed nothing'}")
        hidden = not through_engine and _hides_an_answer(said, probe, login.registry)
        if hidden or (said.status is not None and not _may_be_the_password(said.status, login.kind)):
            # The CLI keeps the body and Retry-After to itself.
            probe = await self._probe.probe(login.registry, credential, min(self._timeout_s(), _LOOK_S))
        if hidden:
            said = replace(said, status=None, fault=said.fault or Fault.UNREACHABLE)
        problem = explain(said, probe, hostname, login.secret.name, fetched=isinstance(login.source, AwsIdentity))
        password = credential.password.reveal()
        if isinstance(problem, LoginRejected) and password != password.strip():
            return LoginRejected(hostname, problem.message, hint=hints.BLANKS)
        return problem

    async def _timed_out(self, registry: Registry, timeout: float, probe: ProbeResult) -> Problem:
        if probe.fault is not None:
            said = CliOutput(f"docker login did not end within {timeout:g} s and was killed", fault=Fault.TIMEOUT)
            return explain(said, probe, registry.hostname, "")
        return cli_failed(registry.hostname, f"it did not end within {timeout:g} s and was killed")

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Start at most so many at once, but let none that hangs keep its place: only starting costs the processor."""
        await self._starts.acquire()
        release = asyncio.get_running_loop().call_later(_START_S, self._starts.release)
        try:
            yield
        finally:
            if not release.cancelled() and release.when() > asyncio.get_running_loop().time():
                release.cancel()
                self._starts.release()


def _hides_an_answer(said: CliOutput, seen: ProbeResult, registry: Registry) -> bool:
    """Whether the CLI tells of plain HTTP although the registry speaks TLS.

    By itself it does so on loopback alone: whatever is refused over TLS it tries over HTTP, and only that is told.
    """
    return seen.tls and said.status != 401 and f"http://{registry.api_host}/v2/" in said.text  # noqa: PLR2004


def _may_be_the_password(status: int, kind: Kind) -> bool:
    """Whether a password may be wrong and so is not sent a second time: accounts get locked. ECR's 403 tells more."""
    return status == 401 or (status == 403 and kind is Kind.BASIC)  # noqa: PLR2004 - HTTP's own numbers


async def _result_soon(look: asyncio.Task[ProbeResult]) -> ProbeResult | None:
    done, _ = await asyncio.wait({look}, timeout=_LOOK_AFTER_S)
    return look.result() if done else None
