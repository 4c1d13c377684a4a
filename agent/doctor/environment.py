"""The checks that all registries share: settings, secrets, programs, the Docker engine and a running agent."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.blocking import BlockingCalls
from agent.doctor.check import Check, Outcome, broken, from_problem, passed, skipped
from agent.edge import secret_files
from agent.edge.agent_client import AgentClient, AgentNotResponding, AgentNotRunning
from agent.edge.secret_url import SecretUrl, without_secrets
from agent.edge.tool_probes import ToolProbes
from agent.model.engine import EngineAnswer, engine_problem
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import (
    AwsCliMissing,
    DockerCliFailed,
    SecretsUnavailable,
    no_docker,
)
from agent.model.secret import RegistrySecret
from agent.model.secret_environment import read_environment
from agent.model.secret_formats import ParseResult
from agent.model.status import Engine
from agent.model.text import printable
from agent.settings import SecretsSettings
from agent.settings_loader import Loaded
from agent.settings_loader.sources import DEFAULT_FILE

CHECKS: Final = ("settings", "secrets", "docker cli", "aws cli", "engine", "agent")
_DIRECTORY_S: Final = 3.0
_CALLS: Final = BlockingCalls("doctor", limit=64)
_URL_S: Final = 6.0
_TOOL_S: Final = 8.0
_AGENT_S: Final = 3.0
_RESTART: Final = "restart the agent; if it still does not answer, run `registry-agent logs`"
_FIND_LISTENER: Final = "run `ss -xlp` to find the program that listens on the agent's socket"
_SECRETS_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Tools:
    """Which tools a login can use."""

    docker: Path | None
    engine_reachable: bool

    def lost(self, program: Path, problem: Problem) -> None:
        """Part of the protocol that a login needs. The doctor looks for its tools only once, so it does nothing."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets that the sources contain now, and the results of the check."""

    secrets: tuple[RegistrySecret, ...]
    checks: tuple[Check, ...]


def settings(loaded: Loaded) -> list[Check]:
    source = str(loaded.file) if loaded.file else f"{DEFAULT_FILE} does not exist; defaults and variables apply"
    return [from_problem("settings", problem) for problem in loaded.problems] or [passed("settings", printable(source))]


async def secrets(settings: SecretsSettings, environ: Mapping[str, str], client: SecretUrl) -> Secrets:
    """Read every source once. The results never contain the value of a secret."""
    extra = [Path(environ["CREDENTIALS_DIRECTORY"])] if environ.get("CREDENTIALS_DIRECTORY") else []
    directories = [*dict.fromkeys([*settings.directories, *extra])]
    reads: list[Awaitable[ParseResult]] = [_read_directory(path) for path in directories]
    if settings.url is not None:
        reads.append(_fetch_url(settings.url, settings.token_file, client))
    results, problems = [], []
    for outcome in await asyncio.gather(*reads, return_exceptions=True):
        if isinstance(outcome, ParseResult):
            results.append(outcome)
        elif isinstance(outcome, ProblemError):
            problems.append(outcome.problem)
        elif isinstance(outcome, BaseException):
            raise outcome
    if settings.environment:
        results.append(read_environment(environ))
    found = ParseResult.joined(results)
    sources = [*map(str, directories), *([without_secrets(settings.url)] if settings.url else [])]
    return Secrets(found.secrets, tuple(_secret_checks(found.secrets, [*problems, *found.problems], sources)))


def _secret_checks(
    found: tuple[RegistrySecret, ...], problems: Iterable[Problem], sources: Iterable[str]
) -> Iterable[Check]:
    if found:
        names = [f"{secret.name} for {secret.registry}" for secret in found[:_SECRETS_SHOWN]]
        more = f" and {len(found) - _SECRETS_SHOWN} more" if len(found) > _SECRETS_SHOWN else ""
        yield passed("secrets", printable(f"{len(found)} found: {', '.join(names)}{more}", 600))
    for problem in problems:
        yield from_problem("secrets", problem)
    if not found and not problems:
        searched = printable(", ".join(sources), 400)
        fix = "add a secret in one of these places, or set secrets.directories or secrets.url"
        yield skipped("secrets", f"no secret in {searched} or in variables", fix)


async def _read_directory(path: Path) -> ParseResult:
    try:
        results = await _CALLS.call(path, lambda: secret_files.read(path), timeout=_DIRECTORY_S)
        return ParseResult.joined(results.values())
    except TimeoutError as error:
        raise ProblemError(SecretsUnavailable(str(path), f"{path} does not answer: its file system hangs")) from error


async def _fetch_url(url: str, token_file: Path | None, client: SecretUrl) -> ParseResult:
    try:
        async with asyncio.timeout(_URL_S):
            return (await client.fetch(url, token_file, None)).parsed or ParseResult()
    except TimeoutError as error:
        name = without_secrets(url)
        raise ProblemError(SecretsUnavailable(name, f"{name} did not answer within {_URL_S:g} s")) from error


async def docker_cli(probes: ToolProbes) -> tuple[Path | None, Check]:
    """Find Docker's own CLI, or None if there is no working one. The doctor logs in with no other program."""
    program = await _CALLS.call("docker", lambda: probes.find("docker") or probes.find("podman"), timeout=None)
    if program is None:
        return None, from_problem("docker cli", no_docker())
    try:
        async with asyncio.timeout(_TOOL_S):
            version = await probes.docker_version(program)
    except TimeoutError:
        hangs = DockerCliFailed("docker", f"{program} --version did not finish within {_TOOL_S:g} s")
        return None, from_problem("docker cli", hangs)
    except ProblemError as error:
        return None, from_problem("docker cli", error.problem)
    return program, passed("docker cli", printable(f"{program}, version {version}"))


async def aws_cli(probes: ToolProbes, *, has_ecr: bool) -> Check:
    """Find the aws CLI. The agent does not need it; a missing one is reported only if there are secrets for ECR."""
    program = await _CALLS.call("aws", lambda: probes.find("aws"), timeout=None)
    if program is not None:
        version = await _aws_version(program, probes) or "unknown"
        return passed("aws cli", printable(f"{program}, version {version}"))
    if not has_ecr:
        return skipped("aws cli", "there is no aws on PATH, and no secret for ECR")
    missing = AwsCliMissing("aws", "there is no aws on PATH; ECR logins do not need it")
    return from_problem("aws cli", missing, notice=Outcome.SKIPPED)


async def engine(probes: ToolProbes) -> tuple[bool, Check]:
    """Check whether the engine of the current docker context answers."""
    try:
        async with asyncio.timeout(_TOOL_S):
            answer = await probes.engine()
    except TimeoutError:
        answer = EngineAnswer(Engine.UNRESPONSIVE, "its address")
    problem = engine_problem(answer)
    if problem is not None:
        return False, from_problem("engine", problem, notice=Outcome.SKIPPED)
    if answer.state is Engine.REACHABLE:
        return True, passed("engine", printable(f"a Docker engine answers at {answer.address}"))
    return False, skipped("engine", "cannot tell whether a Docker engine runs")


async def _aws_version(program: Path, probes: ToolProbes) -> str | None:
    try:
        async with asyncio.timeout(_TOOL_S):
            return await probes.aws_version(program)
    except TimeoutError:
        return None


async def agent(places: list[Path], user: str, docker_config: Path) -> tuple[dict[str, Any] | None, Check]:
    """Ask a running agent for its status. Returns the status and the result of the check.

    The status does not affect the other shared checks: the doctor looks at everything itself.
    """
    try:
        status = await _CALLS.call("agent", lambda: AgentClient(places).status(_AGENT_S), timeout=None)
        owner = printable(str(status["environment"]["user"]), 64)
        message = f"running as {owner}: {printable(str(status['condition']), 20)}, {printable(str(status['summary']))}"
    except AgentNotRunning:
        return None, skipped("agent", "no running agent that this user can reach", "start it with `registry-agent run`")
    except AgentNotResponding as fault:
        return None, broken("agent", printable(f"an agent is listening, but {fault}"), _RESTART)
    except (KeyError, TypeError):
        return None, broken("agent", "the program on the agent's socket is not an agent", _FIND_LISTENER)
    if owner != user:
        message += f"; it belongs to another user, and the doctor checks the files of {user}: {docker_config}"
    return status, passed("agent", printable(message, 600))
