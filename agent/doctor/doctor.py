"""Runs the doctor: the shared checks once, and the checks of every registry, all within one deadline."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.doctor import docker_config, environment
from agent.doctor.agent_status import AgentStatus
from agent.doctor.check import CheckRun
from agent.doctor.context import Context
from agent.doctor.registry_checks import RegistryChecks
from agent.doctor.report import report
from agent.doctor.target import Target, parse_target
from agent.edge import paths
from agent.edge.aws.client import AwsClient
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_cli import DockerCli
from agent.edge.docker_config import DockerConfigFile
from agent.edge.docker_engine import DockerEngine
from agent.edge.http import HttpClient
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.registry_requests import RegistryRequests
from agent.edge.secret_url import SecretUrl
from agent.edge.state_file import StateFile
from agent.edge.tool_probes import ToolProbes
from agent.model.docker_config import Document
from agent.model.plan import AwsDefaults, Login, Plan, make_plan
from agent.model.registry import HostnameError, Registry, parse_hostname
from agent.model.secret import Kind, RegistrySecret
from agent.model.status import State, rfc3339
from agent.model.text import printable
from agent.observe.redaction import LearnedSecrets, Scrubber, secrets_of_environment
from agent.services.rejections import Rejections, chain_inputs
from agent.settings_loader import Loaded

TOTAL_S: Final = 26.0
"""For all checks. Starting and printing take the rest of the 30 s that the doctor may take."""
_HELPER_S: Final = 6.0
_MAX_AGENT_ONLY: Final = 20
_MAX_TOKENS: Final = 1000


def _now() -> datetime:
    return datetime.now(UTC)


class Doctor:
    """One run of the doctor. Uses the agent's own components, except those that write.

    Args:
        loaded: the settings.
        environ: the environment of the process.
        host: the registry or image to check; None for every registry in the plan.
        runtime: the runtime directory.
        place: a directory in `runtime` in which logins run.
        sockets: where an agent may listen.
        try_refused: `--try`, send a password that was rejected before.
    """

    def __init__(
        self,
        loaded: Loaded,
        environ: Mapping[str, str],
        *,
        host: str | None,
        runtime: Path,
        place: Path,
        sockets: Sequence[Path],
        try_refused: bool = False,
    ) -> None:
        self._loaded: Final = loaded
        self._settings: Final = loaded.settings
        self._environ: Final = environ
        self._host: Final = host
        self._sockets: Final = sockets
        self._try_refused: Final = try_refused
        self._user: Final = paths.user_name()
        self._scrubber: Final = Scrubber()
        self._scrubber.protect(secrets_of_environment(environ), owner="environment")
        self._http: Final = HttpClient()
        self._engine: Final = DockerEngine(environ)
        self._cli: Final = DockerCli(environ, runtime, place)
        self._config: Final = DockerConfigFile(self._settings.docker.config_dir)

    async def run(self) -> dict[str, Any]:
        """Run all checks, and return the report within `TOTAL_S`. Checks that take longer are broken or not reached.

        Raises:
            HostnameError: the host is neither a registry nor an image.
        """
        # A wrong HOST must raise here: the checks run in a task that may be cancelled.
        if self._host is not None:
            parse_target(self._host)
        started, now = time.monotonic(), _now()
        shared, chains = CheckRun((*environment.CHECKS, "configuration")), list[RegistryChecks]()
        work = asyncio.create_task(self._check(shared, chains))
        try:
            # Not `asyncio.timeout`: when the time runs out, the report shows the results so far.
            await asyncio.wait({work}, timeout=TOTAL_S)
        finally:
            late = not work.done()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if not late:
            work.result()
        about = {
            "now": rfc3339(now),
            "took_s": round(time.monotonic() - started, 1),
            "environment": {
                "id": printable(self._settings.environment.id),
                "user": printable(self._user),
                "host": printable(socket.gethostname()),
            },
            "docker_config": printable(str(self._settings.docker.config_dir)),
        }
        registries = [chain.report(late=late) for chain in chains]
        return report(about, shared.checks(late=late), registries, self._scrubber.scrub)

    async def _check(self, results: CheckRun, chains: list[RegistryChecks]) -> None:
        results.add(*environment.settings(self._loaded))
        plan = make_plan(await self._secrets(results), self._settings.secrets.exclude, self._aws_defaults())
        async with asyncio.TaskGroup() as group:
            context = self._context(
                plan,
                group.create_task(self._check_tools(results, plan)),
                group.create_task(self._check_agent(results)),
                group.create_task(self._check_configuration(results)),
            )
            chains += [RegistryChecks(target, login, context) for target, login in self._targets(plan)]
            for chain in chains:
                group.create_task(chain.run())
            # These need the agent's answer. The checks above are already running while it is awaited.
            hidden = self._agent_only(plan, await context.status)
            agent_only = [RegistryChecks(Target(registry), None, context) for registry in hidden]
            chains += agent_only
            for chain in agent_only:
                group.create_task(chain.run())

    async def _secrets(self, results: CheckRun) -> tuple[RegistrySecret, ...]:
        secrets, checks = await environment.secrets(self._settings.secrets, self._environ, SecretUrl(self._http))
        # Before any other check: a server may repeat the password in its answer.
        values = (value for secret in secrets for value in (secret.password, secret.session_token) if value is not None)
        self._scrubber.protect([value.reveal() for value in values])
        results.add(*checks)
        return secrets

    def _context(
        self,
        plan: Plan,
        tools: asyncio.Task[environment.Tools],
        status: asyncio.Task[AgentStatus | None],
        document: asyncio.Task[Document | None],
    ) -> Context:
        state = paths.state_directory(self._environ)
        # A StateFile creates its directory, and the doctor must not create anything. `Path.is_dir` would raise an error
        # if the home cannot be entered.
        state_file = StateFile(state if os.access(state, os.X_OK) else None, self._settings.docker.config_dir)
        learned = LearnedSecrets(self._scrubber, "tokens", _MAX_TOKENS)
        return Context(
            plan=plan,
            settings=self._settings,
            requests=RegistryRequests(self._http, _now),
            aws=AwsClient(user=self._user, environ=self._environ, now=_now, learned=learned),
            cli=self._cli,
            config=self._config,
            helpers=CredentialHelpers(self._environ, deadline_s=_HELPER_S),
            podman=PodmanAuthFiles(self._environ, paths.home(self._environ)),
            state_file=state_file,
            rejections=Rejections(
                state_file, _now, self._scrubber.scrub, lambda: chain_inputs(self._settings.aws, self._environ)
            ),
            auth_config=self._environ.get("DOCKER_AUTH_CONFIG"),
            learned=learned,
            try_refused=self._try_refused,
            tools=tools,
            status=status,
            document=document,
        )

    def _agent_only(self, plan: Plan, status: AgentStatus | None) -> list[Registry]:
        """The registries whose secrets only this user's agent can read (a service's credentials).

        Without them, a run without HOST would report no problem although the agent reports one.
        """
        if status is None or self._host is not None or status.user != self._user:
            return []
        known = {*(login.registry for login in plan.logins), *(skipped.registry for skipped in plan.skipped)}
        found: dict[Registry, None] = {}
        for hostname, row in status.rows.items():
            if row.state != State.SKIPPED or status.reasons_about(hostname):
                with contextlib.suppress(HostnameError):
                    found[parse_hostname(hostname)] = None
        return [registry for registry in found if registry not in known][:_MAX_AGENT_ONLY]

    def _targets(self, plan: Plan) -> list[tuple[Target, Login | None]]:
        """The registries to check, each with the plan's login for it."""
        logins = {login.registry: login for login in plan.logins}
        registries = [*logins, *(skipped.registry for skipped in plan.skipped)]
        if self._host is None:
            return [(Target(registry), logins.get(registry)) for registry in registries]
        target = parse_target(self._host, {registry.hostname for registry in registries})
        return [(target, logins.get(target.registry))]

    def _aws_defaults(self) -> AwsDefaults:
        aws = self._settings.aws
        region = self._environ.get("AWS_REGION") or self._environ.get("AWS_DEFAULT_REGION")
        return AwsDefaults(aws.region or region, aws.role_arn)

    async def _check_tools(self, results: CheckRun, plan: Plan) -> environment.Tools:
        has_ecr = any(login.kind is not Kind.BASIC for login in plan.logins)
        probes = ToolProbes(self._environ, self._cli, self._engine)
        tools, checks = await environment.tools(probes, self._engine.address, has_ecr=has_ecr)
        results.add(*checks)
        return tools

    async def _check_agent(self, results: CheckRun) -> AgentStatus | None:
        config_dir = self._settings.docker.config_dir
        status, checks = await environment.agent(self._sockets, self._user, config_dir)
        results.add(*checks)
        return status

    async def _check_configuration(self, results: CheckRun) -> Document | None:
        document, checks = await docker_config.config_file(self._config)
        results.add(*checks)
        return document
