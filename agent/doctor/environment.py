"""The checks that all registries share: settings, secrets, programs, the Docker engine and a running agent."""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.doctor.agent_status import AgentStatus, parse_status
from agent.doctor.check import AGENT, Check, Outcome, broken, from_problem, passed, skipped
from agent.edge import secret_files
from agent.edge.agent_client import AgentClient, AgentNotResponding, AgentNotRunning
from agent.edge.credential_helper import is_installed
from agent.edge.paths import credentials_directory, state_directories
from agent.edge.secret_url import SecretUrl, without_secrets
from agent.edge.source_files import files_in_variables
from agent.edge.state_directory import last_written_state
from agent.edge.state_file import StateFile
from agent.edge.token_file import TokenFileError, read_token
from agent.edge.tool_probes import ToolProbes
from agent.model.engine import EngineAnswer, engine_problem
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import (
    DockerCliFailed,
    SecretsUnavailable,
    no_aws_cli,
    no_docker,
    unusable_status_token,
)
from agent.model.problems.stored_login import no_helper
from agent.model.secret import RegistrySecret
from agent.model.secret_environment import read_environment
from agent.model.secret_formats import ParseResult
from agent.model.status import Engine, Flavor
from agent.model.text import printable
from agent.model.used_files import without_files
from agent.settings import SecretsSettings
from agent.settings_loader import Loaded
from agent.settings_loader.sources import DEFAULT_FILE

_CALLS: Final = BlockingCalls("doctor", limit=64)
_SOURCE_S: Final = 6.0
_STATE_S: Final = 4.0
_TOOL_S: Final = 8.0
_AGENT_S: Final = 3.0
_SOCKET_S: Final = 6.0
"""For the search too. The file system of a socket that no agent listens on may hang."""
_RESTART: Final = "restart the agent; if it still does not answer, run `registry-agent logs`"
_FIND_LISTENER: Final = "run `ss -xlp` to find the program that listens on the agent's socket"
_CHECK_FILE_SYSTEM: Final = "check whether the file system of your home directory (NFS?) is down"
_SECRETS_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Tools:
    """Which tools a login can use."""

    docker: Path | None
    engine_answers: bool

    async def engine_reachable(self) -> bool:
        return self.engine_answers

    def gone(self, program: Path, problem: Problem) -> None:
        """Part of the protocol that a login needs. The doctor looks for its tools only once, so it does nothing."""


async def read_state(state_file: StateFile, environ: Mapping[str, str], docker_config: Path) -> None:
    """Read which logins are the agent's, and what registries refused. If that hangs, every login is a person's.

    An agent that systemd runs has another state directory than this shell.
    """
    directories = state_directories(environ)
    try:
        found = await _CALLS.call("state", lambda: last_written_state(directories, docker_config), timeout=_STATE_S)
        state_file.use(found)
    except OSError:  # TimeoutError is one
        state_file.treat_all_as_foreign("does not answer")


async def settings(loaded: Loaded) -> list[Check]:
    source = str(loaded.file) if loaded.file else f"{DEFAULT_FILE} does not exist; defaults and variables apply"
    problems = [*loaded.problems, *await _token_problems(loaded.settings.status.token_file)]
    return [from_problem("settings", problem) for problem in problems] or [passed("settings", printable(source))]


async def _token_problems(path: Path | None) -> list[Problem]:
    try:
        if path is not None:
            await read_token(path)
    except TokenFileError as error:
        return [unusable_status_token(str(error))]
    return []


async def own_helper(environ: Mapping[str, str], probes: ToolProbes) -> list[Check]:
    """Check that docker can ask the agent, if the settings want that."""
    installed = False
    with contextlib.suppress(OSError):  # TimeoutError is one
        installed = await _CALLS.call("helper", lambda: is_installed(environ), timeout=_TOOL_S)
    from_snap = probes.flavor is Flavor.SNAP
    return [from_problem("configuration", no_helper(from_snap=from_snap))] if from_snap or not installed else []


async def secrets(
    settings: SecretsSettings, environ: Mapping[str, str], client: SecretUrl, token_files: Iterable[Path] = ()
) -> tuple[tuple[RegistrySecret, ...], list[Check]]:
    """Read every source once, and return the secrets and the checks. The checks never contain the value of a secret.

    `token_files` are those of all settings. They may be in a directory with secrets.
    """
    extra = credentials_directory(environ)
    directories = [*dict.fromkeys([*settings.directories, *([extra] if extra else [])])]
    sources = {str(path): _files_in(path) for path in directories}
    if settings.url is not None:
        sources[without_secrets(settings.url)] = _fetched(client, settings.url, settings.token_file)
    # All at once, because each one may take all of its time.
    results = await asyncio.gather(*(_read(name, source) for name, source in sources.items()))
    if settings.environment:
        results.append(read_environment(environ))
    found = ParseResult.joined(results)
    passwords = (secret.password_file for secret in found.secrets if secret.password_file is not None)
    used = {*map(str, (*token_files, *files_in_variables(environ))), *passwords}
    subjects = [problem.subject for problem in found.problems]
    with contextlib.suppress(OSError):  # TimeoutError is one
        used.update(await _CALLS.call("links", lambda: secret_files.same_files(subjects, used), timeout=_SOURCE_S))
    found = replace(found, problems=without_files(found.problems, used))
    return found.secrets, [*_secret_checks(found, sources)]


def _secret_checks(found: ParseResult, sources: Iterable[str]) -> Iterable[Check]:
    if found.secrets:
        names = [f"{secret.name} for {secret.registry}" for secret in found.secrets[:_SECRETS_SHOWN]]
        hidden = len(found.secrets) - len(names)
        more = f" and {hidden} more" if hidden else ""
        yield passed("secrets", printable(f"{len(found.secrets)} found: {', '.join(names)}{more}", 600))
    for problem in found.problems:
        yield from_problem("secrets", problem)
    if not found.secrets and not found.problems:
        searched = printable(", ".join(sources), 400)
        fix = "add a secret in one of these places, or set secrets.directories or secrets.url"
        yield skipped("secrets", f"no secret in {searched} or in variables", fix)


async def _read(name: str, source: Awaitable[ParseResult]) -> ParseResult:
    """Read one source. If it fails, the others still count."""
    try:
        async with asyncio.timeout(_SOURCE_S):
            return await source
    except TimeoutError:
        return ParseResult(problems=(SecretsUnavailable(name, f"{name} did not answer within {_SOURCE_S:g} s"),))
    except ProblemError as error:
        return ParseResult(problems=(error.problem,))


async def _files_in(path: Path) -> ParseResult:
    results = await _CALLS.call(path, lambda: secret_files.read(path), timeout=_SOURCE_S)
    return ParseResult.joined(results.values())


async def _fetched(client: SecretUrl, url: str, token_file: Path | None) -> ParseResult:
    return (await client.fetch(url, token_file, None)).parsed or ParseResult()


async def tools(probes: ToolProbes, *, asks_aws: bool) -> tuple[Tools, list[Check]]:
    (docker, docker_check), engine, aws_check = await asyncio.gather(
        _docker_cli(probes), _engine(probes), _aws_cli(probes, asks_aws=asks_aws)
    )
    checks = [docker_check, engine_check(engine, probes.flavor), aws_check]
    return Tools(docker, engine.state is Engine.REACHABLE), checks


async def _docker_cli(probes: ToolProbes) -> tuple[Path | None, Check]:
    """Find Docker's own CLI, or None if there is no working one. The doctor logs in with no other program."""
    program = await _CALLS.call("docker", probes.find_docker, timeout=None)
    if program is None:
        rejected = await _CALLS.call("docker", probes.rejected_docker, timeout=None)
        return None, from_problem("docker cli", no_docker(rejected))
    try:
        async with asyncio.timeout(_TOOL_S):
            version = await probes.docker_version(program)
    except TimeoutError:
        problem: Problem = DockerCliFailed("docker", f"{program} --version did not finish within {_TOOL_S:g} s")
    except ProblemError as error:
        problem = error.problem
    else:
        podman = "podman " if probes.flavor is Flavor.PODMAN else ""
        return program, passed("docker cli", printable(f"{program}, {podman}version {version}"))
    return None, from_problem("docker cli", problem)


async def _aws_cli(probes: ToolProbes, *, asks_aws: bool) -> Check:
    """Find the aws CLI. The agent does not need it; a missing one is reported only if a login asks AWS for a token."""
    program = await _CALLS.call("aws", lambda: probes.find("aws"), timeout=None)
    if program is None and asks_aws:
        return from_problem("aws cli", no_aws_cli(), notice=Outcome.SKIPPED)
    if program is None:
        return skipped("aws cli", "there is no aws on PATH, and no login asks AWS for a token")
    version = None
    # The program is what counts. Nothing depends on its version.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TOOL_S):
            version = await probes.aws_version(program)
    return passed("aws cli", printable(f"{program}, version {version or 'unknown'}"))


async def _engine(probes: ToolProbes) -> EngineAnswer:
    try:
        async with asyncio.timeout(_TOOL_S):
            return await probes.engine()
    except TimeoutError:
        return EngineAnswer(Engine.UNRESPONSIVE, "its address")


def engine_check(answer: EngineAnswer, flavor: Flavor) -> Check:
    """Check whether the engine of the current docker context answers."""
    if answer.state is Engine.REACHABLE:
        return passed("engine", printable(f"a Docker engine answers at {answer.address}"))
    if flavor is Flavor.PODMAN:
        return skipped("engine", "not needed: podman logs in and pulls without an engine")
    problem = engine_problem(answer)
    if problem is None:
        return skipped("engine", "cannot tell whether a Docker engine runs")
    return from_problem("engine", problem, notice=Outcome.SKIPPED)


async def agent(places: Sequence[Path], user: str, docker_config: Path) -> tuple[AgentStatus | None, list[Check]]:
    """Ask a running agent for its status, and return it with the reasons that concern all registries.

    The other shared checks do not depend on it: the doctor looks at everything itself.
    """
    try:
        status = parse_status(await _CALLS.call(AGENT, lambda: AgentClient(places).status(_AGENT_S), timeout=_SOCKET_S))
    except AgentNotRunning:
        missing = skipped(AGENT, "no running agent that this user can reach", "start it with `registry-agent run`")
        return None, [missing]
    except AgentNotResponding as fault:
        return None, [broken(AGENT, printable(f"an agent is listening, but {fault}"), _RESTART)]
    except TimeoutError:
        return None, [broken(AGENT, "the file system of the agent's socket does not answer", _CHECK_FILE_SYSTEM)]
    except (KeyError, TypeError):
        # It answers in JSON, but not with a status.
        return None, [broken(AGENT, "the program on the agent's socket is not an agent", _FIND_LISTENER)]
    message = f"running as {status.user}: {status.headline}"
    if status.user != user:
        message += f"; it belongs to another user, and the doctor checks the files of {user}: {docker_config}"
    return status, [passed(AGENT, printable(message, 600)), *status.shared_reasons]
