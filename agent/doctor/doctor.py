"""The whole examination: what all registries share once, then every registry's chain, all within one deadline."""

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
from agent.doctor.login import LoginParts
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
"""All of it; the rest of half a minute is for starting and printing."""
_MOST_UNREAD: Final = 20
_COMMON: Final = (*environment.LINKS, "configuration")


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """What a person wants to know: about `host` (None: every registry of the plan), of which agent, and how boldly.

    `runtime` is the runtime directory, `place` one in it where logins may run, `sockets` are where an agent may listen,
    `try_refused` is `--try`.
    """

    host: str | None
    runtime: Path
    place: Path
    sockets: list[Path]
    try_refused: bool = False


@dataclass(slots=True)
class _Redactor:
    """Every secret that turns up is masked from then on."""

    scrubber: Scrubber
    values: set[str] = field(default_factory=set)

    def __call__(self, *secrets: Sensitive | None) -> None:
        self.values.update(secret.reveal() for secret in secrets if secret is not None)
        self.scrubber.protect(self.values)


class Doctor:
    """One run. Builds the agent's own parts, and none of those that write."""

    def __init__(self, loaded: Loaded, environ: Mapping[str, str], asked: DoctorOptions) -> None:
        """Reads the state directory; blocking."""
        settings = loaded.settings
        self._loaded: Final = loaded
        self._environ: Final = environ
        self._asked: Final = asked
        self._user: Final = paths.user_name()
        self._scrubber: Final = Scrubber()
        self._scrubber.protect(secrets_of_environment(environ), owner="environment")
        self._learned: Final = _Redactor(self._scrubber)
        self._http: Final = HttpClient()
        state = paths.state_directory(environ)
        config_dir = settings.docker.config_dir
        # A state_file makes its directory; the doctor makes nothing.
        self._state_file: Final = StateFile(state if state.is_dir() else None, config_dir)
        self._engine: Final = DockerEngine(environ)
        self._cli: Final = DockerCli(environ, asked.runtime, asked.place)
        self._files: Final = DockerFiles(
            DockerConfigFile(config_dir),
            CredentialHelpers(environ),
            PodmanAuthFiles(environ, paths.home(environ)),
            self._state_file,
            environ.get("DOCKER_AUTH_CONFIG"),
        )

    @property
    def scrub(self) -> Callable[[str], str]:
        return self._scrubber.scrub

    async def run(self) -> Report:
        """The report, within `TOTAL_S`; what was not found by then is told so.

        Raises:
            HostnameError: `asked.host` names neither a registry nor an image.
        """
        if self._asked.host is not None:
            parse_target(self._asked.host)
        begun, now = time.monotonic(), datetime.now(UTC)
        common, chains = CheckRun(_COMMON), list[RegistryChecks]()
        work = asyncio.create_task(self._examine(common, chains))
        try:
            await asyncio.wait({work}, timeout=TOTAL_S)
        finally:
            late = not work.done()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if not late:
            work.result()
        return self._report(
            now, time.monotonic() - begun, common.checks(late=late), [chain.report(late=late) for chain in chains]
        )

    def _report(
        self, now: datetime, took_s: float, links: tuple[Check, ...], registries: list[RegistryReport]
    ) -> Report:
        settings = self._loaded.settings
        return Report(
            now=now,
            took_s=took_s,
            environment=printable(settings.environment.id),
            user=printable(self._user),
            host=printable(socket.gethostname()),
            docker_config=printable(str(settings.docker.config_dir)),
            checks=links,
            registries=tuple(registries),
        )

    async def _examine(self, common: CheckRun, chains: list[RegistryChecks]) -> None:
        settings = self._loaded.settings
        common.add(*environment.settings(self._loaded))
        found = await environment.secrets(settings.secrets, self._environ, SecretUrl(self._http))
        for secret in found.secrets:
            self._learned(secret.password, secret.session_token)
        common.add(*found.checks)
        plan = make_plan(found.secrets, settings.secrets.exclude, self._aws_defaults())
        probes = ToolProbes(self._environ, self._cli, self._engine)
        questions = RegistryRequests(self._http, lambda: datetime.now(UTC))
        async with asyncio.TaskGroup() as group:
            tools = group.create_task(self._tools(common, probes, plan))
            status = group.create_task(self._agent(common))
            document = group.create_task(self._configuration(common))
            shared = Shared(
                plan=plan,
                settings=settings,
                questions=questions,
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
                login_parts=lambda: self._login_parts(tools, questions),
                status=status,
                document=document,
                try_refused=self._asked.try_refused,
            )
            chains += [RegistryChecks(target, login, shared) for target, login in self._targets(plan)]
            for chain in chains:
                group.create_task(chain.run())
            more = [RegistryChecks(Target(registry), None, shared) for registry in self._unread(plan, await status)]
            chains += more
            for chain in more:
                group.create_task(chain.run())

    def _unread(self, plan: Plan, status: dict[str, Any] | None) -> list[Registry]:
        """The registries of this user's agent whose secrets only the agent can read (a service's credentials).

        Without them a doctor who was asked about no registry would call well what the agent calls broken.
        """
        rows = status.get("registries") if status else None
        if status is None or self._asked.host is not None or status["environment"]["user"] != self._user:
            return []
        known = {*(login.registry for login in plan.logins), *(skipped.registry for skipped in plan.skipped)}
        found: dict[Registry, None] = {}
        for row in rows if isinstance(rows, list) else ():
            with contextlib.suppress(HostnameError, AttributeError):
                if row.get("state") != State.SKIPPED:
                    found[parse_hostname(str(row.get("hostname")))] = None
        return [registry for registry in found if registry not in known][:_MOST_UNREAD]

    def _targets(self, plan: Plan) -> list[tuple[Target, Login | None]]:
        """What is asked about, with the plan's login for it."""
        logins = {login.registry: login for login in plan.logins}
        skipped = [skipped.registry for skipped in plan.skipped]
        if self._asked.host is None:
            registries = [*logins, *skipped]
            return [(Target(registry), logins.get(registry)) for registry in registries]
        known = {registry.hostname for registry in [*logins, *skipped]}
        target = parse_target(self._asked.host, known)
        return [(target, logins.get(target.registry))]

    def _aws_defaults(self) -> AwsDefaults:
        aws = self._loaded.settings.aws
        region = self._environ.get("AWS_REGION") or self._environ.get("AWS_DEFAULT_REGION")
        return AwsDefaults(aws.region or region, aws.role_arn)

    async def _tools(self, common: CheckRun, probes: ToolProbes, plan: Plan) -> environment.Tools:
        ecr = any(login.kind.value != "basic" for login in plan.logins)
        docker, engine, aws = await asyncio.gather(
            environment.docker_cli(probes),
            environment.engine(probes, self._engine.address),
            environment.aws_cli(probes, wanted=ecr),
        )
        common.add(docker[1], engine[1], aws)
        return environment.Tools(docker[0], engine[0])

    async def _agent(self, common: CheckRun) -> dict[str, Any] | None:
        config_dir = self._loaded.settings.docker.config_dir
        status, link = await environment.agent(self._asked.sockets, self._user, config_dir)
        common.add(link)
        return status

    async def _configuration(self, common: CheckRun) -> Document | None:
        document, links = await docker_config.config_file(self._files)
        common.add(*links)
        return document

    async def _login_parts(self, tools: "asyncio.Task[environment.Tools]", questions: RegistryRequests) -> LoginParts:
        timeout_s = self._loaded.settings.docker.login_timeout_s
        return LoginParts(self._cli, questions, await asyncio.shield(tools), timeout_s)
