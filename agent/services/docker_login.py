"""One `docker login`, and a request of our own to the registry at the same time, which gives more detail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from agent.blocking import BlockingCalls
from agent.model import hints
from agent.model.clock_skew import registry_clock_skew
from agent.model.credential import Credential
from agent.model.docker_config import ConfigError, Entry, decode_entry
from agent.model.docker_errors import cli_failed, explain, not_a_registry
from agent.model.docker_output import read_stderr
from agent.model.docker_results import CliOutput, CliResult, Fault, ProbeResult
from agent.model.plan import Login
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import NotDockersCli, no_docker
from agent.model.problems.registry import LoginRejected, RegistryDns, RegistryTimeout, RegistryTls, RegistryUnreachable
from agent.model.registry import Registry
from agent.model.secret import Kind
from agent.services.ports import DockerCli, DockerProgram

_PROBE_S: Final = 10.0
_PROBE_AFTER_LOGIN_S: Final = 2.0
"""How long to wait for our own request after the CLI has logged in."""
_STARTS: Final = 32
"""How many CLIs start at the same time. Only starting one costs processor time."""
_START_S: Final = 2.0
_FAILED: Final = (1, 125)
"""The exit codes of a login that fails: docker's, and podman's."""
_FILES: Final = BlockingCalls("program", limit=2)
_FILE_S: Final = 5.0
_RUNNING: Final = 64
"""How many CLIs run at the same time, because each one takes memory. Only silent registries ever fill these places."""
_SILENT: Final = 48
"""How many of them may be for silent registries, so that others find a place."""
_NETWORK: Final = (RegistryDns, RegistryUnreachable, RegistryTls, RegistryTimeout)

Probe = Callable[[Registry, Credential | None, float], Awaitable[ProbeResult]]
"""Asks the registry, with or without the credential, for at most so many seconds."""


@dataclass(frozen=True, slots=True)
class DockerLoginResult:
    """What `docker login` saved, and what is wrong although it worked, such as a clock that is off."""

    entry: Entry
    problems: tuple[Problem, ...] = ()


class DockerLogin:
    """Checks a credential with the real `docker login`.

    The CLI logs in by itself. If the network prevents that and an engine answers, the agent tries through the engine:
    it may know a proxy, a CA or an insecure registry that the CLI does not.
    """

    def __init__(
        self,
        cli: DockerCli,
        probe: Probe,
        docker: DockerProgram,
        timeout_s: Callable[[], float],
        scrub: Callable[[str], str] = str,
    ) -> None:
        """`scrub` removes known secrets from what the CLI prints."""
        self._cli: Final = cli
        self._probe: Final = probe
        self._docker: Final = docker
        self._timeout_s: Final = timeout_s
        self._scrub: Final = scrub
        self._starts: Final = asyncio.Semaphore(_STARTS)
        self._running: Final = asyncio.Semaphore(_RUNNING)
        self._silent: Final = asyncio.Semaphore(_SILENT)

    async def log_in(self, login: Login, credential: Credential) -> DockerLoginResult:
        """Log in once. Raises a ProblemError if that fails."""
        async with self._running:
            if not self._silent.locked():
                async with self._silent:  # at once
                    return await self._log_in_both_ways(login, credential)
            if (await self._probe(login.registry, None, _START_S)).fault is not Fault.TIMEOUT:
                return await self._log_in_both_ways(login, credential)
        async with self._silent, self._running:
            return await self._log_in_both_ways(login, credential)

    async def _log_in_both_ways(self, login: Login, credential: Credential) -> DockerLoginResult:
        async with self._slot():
            try:
                return await self._log_in(login, credential, through_engine=False)
            except ProblemError as error:
                first = error.problem
                if not isinstance(first, _NETWORK) or not await self._docker.engine_reachable():
                    raise
            try:
                return await self._log_in(login, credential, through_engine=True)
            except ProblemError as error:
                second = error.problem
                # An answer from the registry explains more than a network error of the CLI alone.
                raise ProblemError(first if isinstance(second, _NETWORK) else second) from None

    async def _log_in(self, login: Login, credential: Credential, *, through_engine: bool) -> DockerLoginResult:
        registry, timeout = login.registry, self._timeout_s()
        probing = asyncio.ensure_future(self._probe(registry, None, min(timeout, _PROBE_S)))
        try:
            result = await self._run_cli(registry, credential, probing, timeout, through_engine=through_engine)
            if result.returncode == 0 and result.entry is not None:
                return self._accepted(registry, result.entry, await _result_soon(probing))
            problem = await self._refused(login, credential, result, await probing, through_engine=through_engine)
            raise ProblemError(problem)
        finally:
            probing.cancel()

    async def _run_cli(
        self,
        registry: Registry,
        credential: Credential,
        probing: asyncio.Future[ProbeResult],
        timeout: float,
        *,
        through_engine: bool,
    ) -> CliResult:
        program = self._docker.docker
        if program is None:
            raise ProblemError(no_docker())
        try:
            return await self._cli.login(program, registry, credential, timeout=timeout, through_engine=through_engine)
        except ProblemError as error:
            if isinstance(error.problem, NotDockersCli):
                self._docker.gone(program, error.problem)
            raise
        except TimeoutError:
            raise ProblemError(await self._timed_out(registry, timeout, await probing)) from None
        except OSError as error:
            # A script gives the same error if its interpreter is missing, although the script exists.
            if isinstance(error, FileNotFoundError) and not await _exists(program):
                missing = no_docker()
                self._docker.gone(program, missing)
                raise ProblemError(missing) from None
            message = f"it cannot be started: {error.strerror or error}"
            raise ProblemError(cli_failed(registry.hostname, message)) from None

    def _accepted(self, registry: Registry, saved: Mapping[str, Any], probe: ProbeResult | None) -> DockerLoginResult:
        try:
            entry = decode_entry(saved, registry.docker_key)
        except ConfigError:
            entry = None
        if entry is None:
            raise ProblemError(cli_failed(registry.hostname, "it saved nothing that can be read"))
        if probe is not None and not probe.registry:
            raise ProblemError(not_a_registry(registry.hostname, probe))
        skew = registry_clock_skew(probe, registry.hostname)
        return DockerLoginResult(entry, (skew,) if skew else ())

    async def _refused(
        self, login: Login, credential: Credential, result: CliResult, probe: ProbeResult, *, through_engine: bool
    ) -> Problem:
        hostname = login.registry.hostname
        code, stderr = result.returncode, result.stderr
        if code < 0:
            return cli_failed(hostname, f"it was killed by signal {-code}", result.cli)
        if code == 0:
            return cli_failed(hostname, "it saved nothing that can be read", result.cli)
        output = read_stderr(stderr)
        # The cause is read from the original text, because a password may be a word such as `unauthorized`.
        shown = replace(output, text=self._scrub(output.text))
        if code not in _FAILED or not output.text:
            return cli_failed(hostname, f"exit code {code}, {shown.text or 'and it printed nothing'}", result.cli)
        hidden = not through_engine and _hides_tls_answer(output, probe, login.registry)
        if hidden or (output.status is not None and not _may_be_the_password(output.status, login.kind)):
            # The CLI shows neither the body nor Retry-After, so send the login ourselves.
            probe = await self._probe(login.registry, credential, min(self._timeout_s(), _PROBE_S))
        if hidden:
            shown = replace(shown, status=None, fault=output.fault or Fault.UNREACHABLE)
        problem = explain(shown, probe, hostname, login.secret_label, issuer=login.issuer, cli=result.cli)
        pasted = hints.pasted_login(credential.username, credential.password.reveal())
        rejected = isinstance(problem, LoginRejected) and pasted is not None
        return LoginRejected(hostname, problem.message, hint=pasted) if rejected else problem

    async def _timed_out(self, registry: Registry, timeout: float, probe: ProbeResult) -> Problem:
        if probe.fault is not None:
            output = CliOutput(f"docker login did not end within {timeout:g} s and was killed", fault=Fault.TIMEOUT)
            return explain(output, probe, registry.hostname, "")
        return cli_failed(registry.hostname, f"it did not end within {timeout:g} s and was killed")

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Limit how many CLIs start at the same time. One that hangs gives up its slot after `_START_S`."""
        await self._starts.acquire()
        release = asyncio.get_running_loop().call_later(_START_S, self._starts.release)
        try:
            yield
        finally:
            if not release.cancelled() and release.when() > asyncio.get_running_loop().time():
                release.cancel()
                self._starts.release()


def _hides_tls_answer(output: CliOutput, probe: ProbeResult, registry: Registry) -> bool:
    """Whether the CLI reports the answer to plain HTTP although the registry speaks TLS.

    On loopback, it retries over HTTP what the registry refused over TLS, and reports only the last answer.
    """
    return probe.tls and output.status != 401 and f"http://{registry.api_host}/v2/" in output.text  # noqa: PLR2004


def _may_be_the_password(status: int, kind: Kind) -> bool:
    """Whether the password may be wrong. Then do not send it again: accounts get locked. ECR explains its 403."""
    return status == 401 or (status == 403 and kind is Kind.BASIC)  # noqa: PLR2004 - HTTP's own numbers


async def _result_soon(probing: asyncio.Future[ProbeResult]) -> ProbeResult | None:
    done, _ = await asyncio.wait({probing}, timeout=_PROBE_AFTER_LOGIN_S)
    return probing.result() if done else None


async def _exists(program: Path) -> bool:
    try:
        return await _FILES.call(program, program.exists, timeout=_FILE_S)
    except OSError:  # TimeoutError is one. If it cannot be checked, another program may be what is missing
        return True
