"""Runs the doctor: the shared checks once, and the checks of every registry, all within one deadline."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from agent.doctor import docker_config, environment
from agent.doctor.agent_status import AgentStatus
from agent.doctor.check import SHARED_CHECKS, Check, CheckRun, from_problem
from agent.doctor.context import Context, Pending
from agent.doctor.environment import Tools
from agent.doctor.registry_checks import RegistryChecks
from agent.doctor.report import report
from agent.doctor.target import Target, parse_target
from agent.edge.secret_url import SecretUrl
from agent.model.docker_config import Document
from agent.model.plan import Login
from agent.model.registry import HostnameError, Registry, parse_hostname
from agent.model.status import State, rfc3339
from agent.model.text import printable
from agent.services.planning import plan_logins

TOTAL_S: Final = 26.0
"""For all checks. Starting and printing take the rest of the 30 s that the doctor may take."""
_MAX_AGENT_ONLY: Final = 20
_TOOLS_S: Final = 4.0

T = TypeVar("T")


class Doctor:
    """One run of the doctor."""

    def __init__(self, context: Context) -> None:
        self._context: Final = context
        self._settings: Final = context.settings
        self._shared: Final = CheckRun(SHARED_CHECKS)
        self._chains: Final[list[RegistryChecks]] = []

    async def run(self) -> dict[str, Any]:
        """Run all checks, and return the report within `TOTAL_S`. Checks that take longer are broken or not reached."""
        started, now = time.monotonic(), datetime.now(UTC)
        work = asyncio.create_task(self._check())
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
                "user": printable(self._context.user),
                "host": printable(socket.gethostname()),
            },
            "docker_config": printable(str(self._settings.docker.config_dir)),
        }
        registries = [chain.report(late=late) for chain in self._chains]
        return report(about, self._shared.checks(late=late), registries, self._context.scrubber.scrub_own)

    async def _check(self) -> None:
        context = self._context
        config_dir = self._settings.docker.config_dir
        state = environment.read_state(context.state_file, context.environ, config_dir)
        _, _, settings = await asyncio.gather(self._read_secrets(), state, environment.settings(context.loaded))
        self._shared.add(*settings)
        asks_aws = any(login.asks_aws for login in context.plan.logins)
        tools = environment.tools(context.probes, asks_aws=asks_aws)
        status = environment.agent(context.sockets, context.user, context.config.path.parent)
        async with asyncio.TaskGroup() as group:
            found_tools = group.create_task(self._add(tools))
            found_status = group.create_task(self._add(status))
            configuration = self._configuration(found_tools, found_status)
            pending = Pending(found_tools, found_status, group.create_task(self._add(configuration)))

            def start(target: Target, login: Login | None) -> None:
                chain = RegistryChecks(target, login, context, pending)
                self._chains.append(chain)
                group.create_task(chain.run())

            # All at once, because they mostly wait. One task for each, so that a registry that hangs delays no other.
            for target, login in self._targets():
                start(target, login)
            # These need the agent's answer. The checks above are already running while it is awaited.
            for registry in self._agent_only(await pending.status):
                start(Target(registry), None)

    async def _add(self, step: Awaitable[tuple[T, Sequence[Check]]]) -> T:
        """Add the checks of a shared step, and return what the step found."""
        found, checks = await step
        self._shared.add(*checks)
        return found

    async def _configuration(
        self, tools: asyncio.Task[Tools], status: asyncio.Task[AgentStatus | None]
    ) -> tuple[Document | None, list[Check]]:
        context = self._context
        # What Docker accepts depends on its version. Without an answer, the file is checked all the same.
        await asyncio.wait({tools}, timeout=_TOOLS_S)
        document, checks = await docker_config.config_file(context.config)
        # An agent that runs reports these itself, and may have another state directory or PATH.
        if await status is None:
            checks += [from_problem("configuration", problem) for problem in context.state_file.problems()]
            if self._settings.docker.store == "helper":
                checks += await environment.own_helper(context.environ, context.probes)
        return document, checks

    async def _read_secrets(self) -> None:
        context, settings, environ = self._context, self._context.settings, self._context.environ
        client = SecretUrl(context.http)
        secrets = await self._add(environment.secrets(settings.secrets, environ, client, settings.token_files))
        # Before any other check: a server may repeat the password in its answer.
        context.scrubber.protect(value for secret in secrets for value in secret.values)
        context.plan = plan = plan_logins(secrets, settings, environ)
        # The checks of a registry show what is about it, and why it is skipped.
        shown = {login.registry.hostname for login in plan.logins}
        shown.update(subject for skipped in plan.skipped if skipped.wanted for subject in skipped.subjects)
        others = (problem for problem in plan.problems if problem.subject not in shown)
        self._shared.add(*(from_problem("secrets", problem) for problem in others))

    def _agent_only(self, status: AgentStatus | None) -> list[Registry]:
        """The registries whose secrets only this user's agent can read (a service's credentials).

        Without them, a run without HOST would report no problem although the agent reports one.
        """
        if status is None or self._context.host is not None or status.user != self._context.user:
            return []
        plan = self._context.plan
        known = {*(login.registry for login in plan.logins), *(skipped.registry for skipped in plan.skipped)}
        found: dict[Registry, None] = {}
        for hostname, row in status.rows.items():
            if row.state != State.SKIPPED or status.reasons_about(hostname):
                with contextlib.suppress(HostnameError):
                    found[parse_hostname(hostname)] = None
        return [registry for registry in found if registry not in known][:_MAX_AGENT_ONLY]

    def _targets(self) -> list[tuple[Target, Login | None]]:
        """The registries to check, each with the plan's login for it."""
        plan = self._context.plan
        logins = {login.registry: login for login in plan.logins}
        registries = [*logins, *(skipped.registry for skipped in plan.skipped)]
        if self._context.host is None:
            return [(Target(registry), logins.get(registry)) for registry in registries]
        target = parse_target(self._context.host, {registry.hostname for registry in registries})
        return [(target, logins.get(target.registry))]
