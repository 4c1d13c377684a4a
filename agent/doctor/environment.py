"""What all registries share: the settings, the secrets, the programs, an engine, an agent that runs."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.doctor.check import Check, Outcome, broken, from_problem, passed, skipped
from agent.edge import secret_files
from agent.edge.agent_client import AgentClient, AgentNotResponding, AgentNotRunning
from agent.edge.secret_url import SecretUrl, without_secrets
from agent.edge.tool_probes import ToolProbes
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import (
    AwsCliMissing,
    DockerCliFailed,
    EngineUnreachable,
    EngineUnresponsive,
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

LINKS: Final = ("settings", "secrets", "docker cli", "aws cli", "engine", "agent")
_DIRECTORY_S: Final = 3.0
_ADDRESS_S: Final = 6.0
_TOOL_S: Final = 8.0
_AGENT_S: Final = 3.0
_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Tools:
    """As a login needs them."""

    docker: Path | None
    engine_reachable: bool

    def lost(self, program: Path, problem: Problem) -> None:
        """The doctor looks once."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the sources give now, and what is wrong with them."""

    secrets: tuple[RegistrySecret, ...]
    checks: tuple[Check, ...]


def settings(loaded: Loaded) -> list[Check]:
    where = str(loaded.file) if loaded.file else f"there is no {DEFAULT_FILE}: defaults and variables hold"
    return [from_problem("settings", problem) for problem in loaded.problems] or [passed("settings", printable(where))]


async def secrets(settings: SecretsSettings, environ: Mapping[str, str], client: SecretUrl) -> Secrets:
    """Ask every source once; no value of a secret is in the links."""
    extra = [Path(environ["CREDENTIALS_DIRECTORY"])] if environ.get("CREDENTIALS_DIRECTORY") else []
    directories = [*dict.fromkeys([*settings.directories, *extra])]
    asked: list[Awaitable[ParseResult]] = [_directory(path) for path in directories]
    if settings.url is not None:
        asked.append(_address(settings.url, settings.token_file, client))
    readings, problems = [], []
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(outcome, ParseResult):
            readings.append(outcome)
        elif isinstance(outcome, Problem):
            problems.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
    if settings.environment:
        readings.append(read_environment(environ))
    found = ParseResult.joined(readings)
    sources = [*map(str, directories), *([without_secrets(settings.url)] if settings.url else [])]
    return Secrets(found.secrets, tuple(_secret_links(found.secrets, [*problems, *found.problems], sources)))


def _secret_links(
    found: tuple[RegistrySecret, ...], problems: Iterable[Problem], sources: Iterable[str]
) -> Iterable[Check]:
    if found:
        names = [f"{secret.name} for {secret.registry}" for secret in found[:_SHOWN]]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield passed("secrets", printable(f"{len(found)} found: {', '.join(names)}{more}", 600))
    for problem in problems:
        yield from_problem("secrets", problem)
    if not found and not problems:
        looked = printable(", ".join(sources), 400)
        fix = "put a secret there, or set secrets.directories or secrets.url"
        yield skipped("secrets", f"none found in {looked}, nor in variables", fix)


async def _directory(path: Path) -> ParseResult:
    try:
        async with asyncio.timeout(_DIRECTORY_S):
            return ParseResult.joined((await asyncio.to_thread(secret_files.read, path)).values())
    except TimeoutError as error:
        raise ProblemError(SecretsUnavailable(str(path), f"{path} does not answer: its file system hangs")) from error


async def _address(url: str, token_file: Path | None, client: SecretUrl) -> ParseResult:
    try:
        async with asyncio.timeout(_ADDRESS_S):
            return (await client.fetch(url, token_file, None)).parsed or ParseResult()
    except TimeoutError as error:
        name = without_secrets(url)
        raise ProblemError(SecretsUnavailable(name, f"{name} did not answer within {_ADDRESS_S:g} s")) from error


async def docker_cli(probes: ToolProbes) -> tuple[Path | None, Check]:
    """Docker's own CLI, None where there is none that works: no login runs through another program."""
    program = await asyncio.to_thread(probes.find, "docker")
    if program is None:
        return None, from_problem("docker cli", no_docker())
    try:
        async with asyncio.timeout(_TOOL_S):
            version = await probes.docker_version(program)
    except TimeoutError:
        silent = DockerCliFailed("docker", f"{program} --version did not end within {_TOOL_S:g} s")
        return None, from_problem("docker cli", silent)
    except ProblemError as error:
        problem = error.problem
        return None, from_problem("docker cli", problem)
    return program, passed("docker cli", printable(f"{program}, version {version}"))


async def aws_cli(probes: ToolProbes, *, wanted: bool) -> Check:
    """Needed by nobody here; worth a word where there are secrets of ECR."""
    program = await asyncio.to_thread(probes.find, "aws")
    if program is not None:
        version = await _aws_version(program, probes) or "that it does not tell"
        return passed("aws cli", printable(f"{program}, version {version}"))
    if not wanted:
        return skipped("aws cli", "there is none on PATH, and no registry of ECR")
    missing = AwsCliMissing("aws", "there is no aws on PATH; ECR logins do not need it")
    return from_problem("aws cli", missing, notice=Outcome.SKIPPED)


async def engine(probes: ToolProbes, address: str) -> tuple[bool, Check]:
    """Whether an engine answers."""
    try:
        async with asyncio.timeout(_TOOL_S):
            state = await probes.engine()
    except TimeoutError:
        state = Engine.UNRESPONSIVE
    match state:
        case Engine.REACHABLE:
            return True, passed("engine", printable(f"one answers at {address}"))
        case Engine.UNREACHABLE:
            away = EngineUnreachable("engine", f"no Docker engine answers at {address}")
            return False, from_problem("engine", away, notice=Outcome.SKIPPED)
        case Engine.UNRESPONSIVE:
            silent = EngineUnresponsive("engine", f"the Docker engine at {address} stays silent")
            return False, from_problem("engine", silent)
    return False, skipped("engine", "whether there is one cannot be told")


async def _aws_version(program: Path, probes: ToolProbes) -> str | None:
    try:
        async with asyncio.timeout(_TOOL_S):
            return await probes.aws_version(program)
    except TimeoutError:
        return None


async def agent(places: list[Path], user: str, docker_config: Path) -> tuple[dict[str, Any] | None, Check]:
    """The status of an agent that runs, and what it comes down to. What it says decides nothing here."""
    try:
        status = await asyncio.to_thread(AgentClient(places).status, _AGENT_S)
        theirs = printable(str(status["environment"]["user"]), 64)
        seen = f"running as {theirs}: {printable(str(status['condition']), 20)}, {printable(str(status['summary']))}"
    except AgentNotRunning:
        return None, skipped("agent", "none runs that this user can reach", "start it: `registry-agent run`")
    except AgentNotResponding as fault:
        return None, broken("agent", printable(f"one listens, but {fault}"), "restart it, and look at its log")
    except (KeyError, TypeError):
        return None, broken("agent", "something listens that is no agent", "see what listens on the agent's socket")
    if theirs != user:
        seen += f"; this is another user's, the doctor looks at what {user} has: {docker_config}"
    return status, passed("agent", printable(seen, 600))
