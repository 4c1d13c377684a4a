"""Runs the doctor: the shared checks once, and the checks of every registry, all within one deadline."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.doctor import docker_config, environment
from agent.doctor.check import Check, CheckRun
from agent.doctor.docker_config import DockerFiles
from agent.doctor.login import LoginTools
from agent.doctor.registry_checks import RegistryChecks, Shared
from agent.doctor.report import RegistryReport, Report
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
from agent.model.sensitive import Sensitive
from agent.model.status import State
from agent.model.text import printable
from agent.observe.redaction import Scrubber, secrets_of_environment
from agent.services.rejections import Rejections, chain_inputs
from agent.settings_loader import Loaded

TOTAL_S: Final = 26.0
"""For all checks. Starting and printing take the rest of the 30 s that the doctor may take."""
_MAX_AGENT_ONLY: Final = 20
_TOOLS_S: Final = 4.0
_SHARED_CHECKS: Final = (*environment.CHECKS, "configuration")


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """The command's options.

    Args:
        host: the registry or image to check; None for every registry in the plan.
        runtime: the runtime directory, in which logins run.
        sockets: where an agent may listen.
        try_refused: `--try`, send a password that was rejected before.
    """

    host: str | None
    runtime: Path
    sockets: list[Path]
    try_refused: bool = False


@dataclass(slots=True)
class _Redactor:
    """Masks every secret that turns up, from then on."""

    scrubber: Scrubber
    values: set[str] = field(default_factory=set)

    def __call__(self, *secrets: Sensitive | None) -> None:
        self.values.update(secret.reveal() for secret in secrets if secret is not None)
        self.scrubber.protect(self.values)


class Doctor:
    """One run of the doctor. Uses the agent's own components, except those that write."""

    def __init__(self, loaded: Loaded, environ: Mapping[str, str], options: DoctorOptions) -> None:
        """Reads the state directory, so it blocks."""
        settings = loaded.settings
        self._loaded: Final = loaded
        self._environ: Final = environ
        self._options: Final = options
        self._user: Final = paths.user_name()
        self._scrubber: Final = Scrubber()
        self._scrubber.protect(secrets_of_environment(environ), owner="environment")
        self._learned: Final = _Redactor(self._scrubber)
        self._http: Final = HttpClient()
        config_dir = settings.docker.config_dir
        self._state_file: Final = StateFile.loaded(paths.state_directory(environ), config_dir)
        self._engine: Final = DockerEngine(environ, config_dir)
        self._cli: Final = DockerCli(environ, options.runtime, self._engine)
        self._files: Final = DockerFiles(
            DockerConfigFile(config_dir, cli_version=lambda: self._cli.installed),
            CredentialHelpers(environ),
            PodmanAuthFiles(environ, paths.home(environ)),
            self._state_file,
            environ.get("DOCKER_AUTH_CONFIG"),
            lambda: self._cli.installed,
        )

    @property
    def scrub(self) -> Callable[[str], str]:
        return self._scrubber.scrub_own

    async def run(self) -> Report:
        """Run all checks, and report within `TOTAL_S`. Checks that take longer are shown as broken or not reached.

        Raises:
            HostnameError: `options.host` is neither a registry nor an image.
        """
        # A wrong HOST must raise here: the checks run in a task that may be cancelled.
        if self._options.host is not None:
            parse_target(self._options.host)
        started, now = time.monotonic(), datetime.now(UTC)
        shared, chains = CheckRun(_SHARED_CHECKS), list[RegistryChecks]()
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
        return self._report(
            now, time.monotonic() - started, shared.checks(late=late), [chain.report(late=late) for chain in chains]
        )

    def _report(
        self, now: datetime, took_s: float, checks: tuple[Check, ...], registries: list[RegistryReport]
    ) -> Report:
        settings = self._loaded.settings
        return Report(
            now=now,
            took_s=took_s,
            environment=printable(settings.environment.id),
            user=printable(self._user),
            host=printable(socket.gethostname()),
            docker_config=printable(str(settings.docker.config_dir)),
            checks=checks,
            registries=tuple(registries),
        )

    async def _check(self, results: CheckRun, chains: list[RegistryChecks]) -> None:
        settings = self._loaded.settings
        results.add(*environment.settings(self._loaded))
        found = await environment.secrets(settings.secrets, self._environ, SecretUrl(self._http))
        # Before any other check: a server may repeat the password in its answer.
        for secret in found.secrets:
            self._learned(secret.password, secret.session_token)
        results.add(*found.checks)
        plan = make_plan(found.secrets, settings.secrets.exclude, self._aws_defaults())
        probes = ToolProbes(self._environ, self._cli, self._engine)
        requests = RegistryRequests(self._http, lambda: datetime.now(UTC), scrub=self._scrubber.scrub)
        async with asyncio.TaskGroup() as group:
            tools = group.create_task(self._check_tools(results, probes, plan))
            status = group.create_task(self._check_agent(results))
            document = group.create_task(self._check_configuration(results, tools))
            shared = Shared(
                plan=plan,
                settings=settings,
                requests=requests,
                files=self._files,
                aws=AwsClient(
                    user=self._user, environ=self._environ, now=lambda: datetime.now(UTC), learned=self._learned
                ),
                rejections=Rejections(
                    self._state_file,
                    lambda: datetime.now(UTC),
                    self.scrub,
                    lambda: chain_inputs(settings.aws, self._environ),
                ),
                learned=self._learned,
                login_tools=lambda: self._login_tools(tools, requests),
                status=status,
                document=document,
                try_refused=self._options.try_refused,
            )
            chains += [RegistryChecks(target, login, shared) for target, login in self._targets(plan)]
            for chain in chains:
                group.create_task(chain.run())
            # These need the agent's answer. The checks above are already running while it is awaited.
            agent_only = [
                RegistryChecks(Target(registry), None, shared) for registry in self._agent_only(plan, await status)
            ]
            chains += agent_only
            for chain in agent_only:
                group.create_task(chain.run())

    def _agent_only(self, plan: Plan, status: dict[str, Any] | None) -> list[Registry]:
        """The registries whose secrets only this user's agent can read (a service's credentials).

        Without them, a run without HOST would report no problem although the agent reports one.
        """
        rows = status.get("registries") if status else None
        if status is None or self._options.host is not None or status["environment"]["user"] != self._user:
            return []
        known = {*(login.registry for login in plan.logins), *(skipped.registry for skipped in plan.skipped)}
        found: dict[Registry, None] = {}
        for row in rows if isinstance(rows, list) else ():
            with contextlib.suppress(HostnameError, AttributeError):
                if row.get("state") != State.SKIPPED:
                    found[parse_hostname(str(row.get("hostname")))] = None
        return [registry for registry in found if registry not in known][:_MAX_AGENT_ONLY]

    def _targets(self, plan: Plan) -> list[tuple[Target, Login | None]]:
        """The registries to check, each with the plan's login for it."""
        logins = {login.registry: login for login in plan.logins}
        skipped = [skipped.registry for skipped in plan.skipped]
        if self._options.host is None:
            registries = [*logins, *skipped]
            return [(Target(registry), logins.get(registry)) for registry in registries]
        known = {registry.hostname for registry in [*logins, *skipped]}
        target = parse_target(self._options.host, known)
        return [(target, logins.get(target.registry))]

    def _aws_defaults(self) -> AwsDefaults:
        aws = self._loaded.settings.aws
        region = self._environ.get("AWS_REGION") or self._environ.get("AWS_DEFAULT_REGION")
        return AwsDefaults(aws.region or region, aws.role_arn)

    async def _check_tools(self, results: CheckRun, probes: ToolProbes, plan: Plan) -> environment.Tools:
        has_ecr = any(login.kind.value != "basic" for login in plan.logins)
        docker, engine, aws = await asyncio.gather(
            environment.docker_cli(probes),
            environment.engine(probes),
            environment.aws_cli(probes, has_ecr=has_ecr),
        )
        results.add(docker[1], engine[1], aws)
        return environment.Tools(docker[0], engine[0])

    async def _check_agent(self, results: CheckRun) -> dict[str, Any] | None:
        config_dir = self._loaded.settings.docker.config_dir
        status, check = await environment.agent(self._options.sockets, self._user, config_dir)
        results.add(check)
        return status

    async def _check_configuration(
        self, results: CheckRun, tools: "asyncio.Task[environment.Tools]"
    ) -> Document | None:
        # What Docker accepts depends on its version. Without an answer, the file is checked all the same.
        await asyncio.wait({tools}, timeout=_TOOLS_S)
        document, checks = await docker_config.config_file(self._files)
        results.add(*checks)
        return document

    async def _login_tools(self, tools: "asyncio.Task[environment.Tools]", requests: RegistryRequests) -> LoginTools:
        timeout_s = self._loaded.settings.docker.login_timeout_s
        # Shielded: all registries wait for the same task, and cancelling one of them must not cancel it.
        return LoginTools(self._cli, requests, await asyncio.shield(tools), timeout_s, self._scrubber.scrub)
