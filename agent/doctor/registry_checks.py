"""The chain of checks for one registry, from its secret to a pull. Independent checks run concurrently."""

import asyncio
from collections.abc import Mapping
from typing import Final

from agent.doctor import registry
from agent.doctor.agent_status import AgentRow, AgentStatus
from agent.doctor.check import (
    AGENT,
    AWS_CHECKS,
    NETWORK_CHECKS,
    SERVER_CHECKS,
    Check,
    CheckRun,
    Outcome,
    broken,
    from_problem,
    not_reached,
    passed,
    registry_checks,
    skipped,
)
from agent.doctor.context import Context, Pending
from agent.doctor.credential import CredentialChecks
from agent.doctor.docker_config import EffectiveLogin, HeldLogin
from agent.doctor.environment import Tools
from agent.doctor.login import active_rejection, try_login
from agent.doctor.network import Network
from agent.doctor.report import RegistryReport
from agent.doctor.target import Target
from agent.model.credential import Credential
from agent.model.plan import Login, Skipped
from agent.model.problems.aws import AwsCredentialsMissing
from agent.model.problems.azure import AzureCredentialsMissing
from agent.model.problems.environment import TokenNotRenewable
from agent.model.problems.google import GoogleCredentialsMissing
from agent.model.problems.password_source import CredentialCommandFailed
from agent.model.problems.stored_login import InternalError
from agent.model.text import printable

_ONLY_HERE: Final = frozenset(
    {
        AwsCredentialsMissing.code,
        GoogleCredentialsMissing.code,
        AzureCredentialsMissing.code,
        CredentialCommandFailed.code,
    }
)
"""What can be missing in a person's shell while the agent has it."""


class RegistryChecks:
    """The checks for `target`. `login` is the plan's login for it, or None if there is none."""

    def __init__(self, target: Target, login: Login | None, context: Context, pending: Pending) -> None:
        self._target: Final = target
        self._registry: Final = target.registry
        self._login: Final = login
        self._context: Final = context
        self._pending: Final = pending
        self._results: Final = CheckRun(registry_checks(login.issuer if login else ""))

    def report(self, *, late: bool) -> RegistryReport:
        login, image = self._login, self._target.image
        return RegistryReport(
            self._registry.hostname,
            _without_detours(_without_consequences(self._results.checks(late=late))),
            str(image) if image else None,
            login.secret.name if login else None,
            login.kind.value if login else None,
        )

    async def run(self) -> None:
        """Run all checks. Raises only if cancelled: a bug here must not stop the checks of other registries."""
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001 - anything from outside may cause it; only the type is sure to hold no secret
            failure = f"the doctor failed with an unexpected {type(error).__name__}"
            self._results.add(from_problem("pull", InternalError(self._registry.hostname, failure)))

    async def _run(self) -> None:
        # The login needs the results of all of these. They do not depend on each other.
        async with asyncio.TaskGroup() as group:
            held = group.create_task(self._check_agent())
            network_checks = group.create_task(self._check_network())
            credential = group.create_task(self._obtain())
        logged_in = await self._log_in(credential.result(), reached=network_checks.result())
        reached, docker = network_checks.result(), held.result()
        # A password that was just refused is not sent once more. Docker may hold another one that still works.
        sent = credential.result()
        other = docker is not None and (sent is None or sent.password != docker.entry.secret)
        usable = docker.accepted if docker is not None and other else logged_in
        # Whether the agent stored this very login.
        own = docker is not None and self._context.hashes.known(self._registry, docker.entry)
        login = _login_of_pull(docker, sent, self._login, own=own)
        await self._pull(login, reached=reached, usable=usable)

    async def _check_agent(self) -> HeldLogin | None:
        """Which secret serves the registry, what a running agent reports about it, and which login Docker would use."""
        status = await self._status()
        self._results.add(*self._unusable(), self._secret(_row(status, self._registry.hostname)))
        reported = [skipped(AGENT, "no agent answers")] if status is None else status.report(self._registry.hostname)
        self._results.add(*reported)
        document = await asyncio.shield(self._pending.document)
        if document is None:
            return None
        login = EffectiveLogin(self._context, status, document, self._registry, self._login)
        return await login.run(self._results)

    async def _status(self) -> AgentStatus | None:
        # Shielded: all registries wait for the same task, and cancelling one of them must not cancel it.
        return await asyncio.shield(self._pending.status)

    def _unusable(self) -> list[Check]:
        """The secrets of the registry that take precedence over the one that the login uses, and cannot be used."""
        if self._login is None:
            return []
        about = (each for each in self._context.plan.problems if each.subject == self._registry.hostname)
        return [from_problem("secret", problem) for problem in about if not isinstance(problem, TokenNotRenewable)]

    def _secret(self, row: AgentRow | None) -> Check:
        hostname = self._registry.hostname
        if self._login is not None:
            login = self._login
            message = f"{login.secret.name} ({login.secret.scope}, {login.kind}) from {login.secret.origin}"
            return passed("secret", printable(message, 600))
        unused = next((each for each in self._context.plan.skipped if each.registry == self._registry), None)
        if unused is not None:
            return self._unused(unused)
        if row is not None:
            return skipped("secret", f"no secret that this user can read; the agent uses {row.secret}")
        fix = f"add a secret with the hostname {hostname} to a source in secrets.directories or secrets.url"
        return broken("secret", f"there is no secret for {hostname}", fix)

    def _unused(self, unused: Skipped) -> Check:
        """A secret that the plan does not use: because a person chose this, or because of a problem."""
        problems = (problem for problem in self._context.plan.problems if problem.subject in unused.subjects)
        problem = next(problems, None) if unused.wanted else None
        if problem is not None:
            return from_problem("secret", problem)
        return skipped("secret", printable(f"{unused.secret.name} is not used: {unused.reason}", 600))

    async def _check_network(self) -> bool:
        path, requests = Network(self._registry, self._context.requests), self._context.requests
        return await path.run(self._results) and await registry.ping(self._results, self._registry, requests)

    async def _obtain(self) -> Credential | None:
        if self._login is None:
            self._results.add(*(skipped(name, "there is no secret to log in with") for name in AWS_CHECKS))
            return None
        return await CredentialChecks(self._results, self._login, self._context).obtain()

    async def _log_in(self, credential: Credential | None, *, reached: bool) -> bool:
        """Log in. Returns whether a pull can follow: without a secret, an anonymous one can."""
        login, context = self._login, self._context
        if login is None:
            return self._results.add(skipped("login", "there is no secret to log in with"))
        status = await self._status()
        rejections = context.rejections
        rejection = None if context.try_refused else await active_rejection(login, credential, rejections, status)
        if rejection is not None:
            return self._results.add(rejection)
        tools = await asyncio.shield(self._pending.tools)
        obstacle = _obstacle(credential, tools, reached=reached)
        if credential is None or obstacle is not None:
            self._results.add(not_reached("login", obstacle or ""))
            return False
        return await self._results.check("login", try_login(login, credential, context, tools))

    async def _pull(self, login: registry.PullLogin | None, *, reached: bool, usable: bool) -> None:
        image = self._target.image
        if image is None:
            self._results.add(skipped("pull", "no image given (HOST can be one, for example ghcr.io/org/name:tag)"))
        elif not reached:
            self._results.add(not_reached("pull", "the registry cannot be reached"))
        elif not usable:
            self._results.add(not_reached("pull", "there is no login"))
        elif login is None:
            self._results.add(
                skipped("pull", f"docker holds an identity token; run `docker pull` for {image} to try it")
            )
        else:
            pull = registry.pull(self._registry, image, login, self._context.requests)
            await self._results.check("pull", pull)


def _login_of_pull(
    held: HeldLogin | None, credential: Credential | None, login: Login | None, *, own: bool
) -> registry.PullLogin | None:
    """The login that Docker holds, else the one that the agent would store, else none. None if it cannot be sent.

    An identity token is no password: only the docker CLI exchanges it. The secret that it was made from works too.
    `own` is whether the agent stored the login that Docker holds. It then belongs to the same identity as the new one.
    """
    if held is not None and not held.entry.identity_token:
        identity = credential.identity if own and credential is not None else None
        sent = Credential(held.entry.username, held.entry.secret, identity=identity)
        return registry.PullLogin(f"docker's login ({held})", sent, stored=True)
    if credential is not None and login is not None:
        return registry.PullLogin(f"secret {printable(login.secret.name, 100)}", credential)
    return None if held is not None else registry.PullLogin()


def _obstacle(credential: Credential | None, tools: Tools, *, reached: bool) -> str | None:
    """Why no login can be tried."""
    if credential is None:
        return "there is no password or token to log in with"
    if tools.docker is None:
        return "there is no working docker CLI"
    # With an engine, the engine connects to the registry. It may have a route that this machine does not have.
    return None if reached or tools.engine_answers else "the registry cannot be reached"


def _row(status: AgentStatus | None, hostname: str) -> AgentRow | None:
    return status.rows.get(hostname) if status else None


def _without_consequences(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Fail no check for what is only a consequence, or for what is not needed."""
    outcomes = {check.name: check.outcome for check in checks}
    return tuple(_relaxed(check, outcomes) if check.broken else check for check in checks)


def _relaxed(check: Check, outcomes: Mapping[str, Outcome]) -> Check:
    holds_login = outcomes["in use"] is Outcome.OK
    if check.name == "in use" and check.code is None and outcomes["login"] not in (Outcome.OK, Outcome.SKIPPED):
        return not_reached(check.name, check.message)
    if check.name == "secret" and check.code is None and (holds_login or outcomes["pull"] is Outcome.OK):
        return skipped(check.name, f"{check.message}, and none is needed here")
    # `in use` shows why Docker has no login: it has another configuration than the agent.
    anonymous = check.name == "pull" and registry.PullLogin().how in check.message
    if anonymous and outcomes["in use"] is Outcome.BROKEN:
        return not_reached(check.name, check.message)
    # The agent may have an identity or variables that this shell does not have. Its login then is what counts.
    if check.code in _ONLY_HERE and check.name != AGENT and holds_login and outcomes[AGENT] is Outcome.OK:
        return skipped(check.name, f"not needed here, because the agent has a login: {check.message}")
    return check


def _without_detours(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Mark the network checks as skipped if docker logs in all the same.

    Its engine may have a route that this machine does not have, or may allow a registry without TLS
    (insecure-registries). Then pulls work, so nothing is broken.
    """
    login = next(check for check in checks if check.name == "login")
    if login.outcome is not Outcome.OK:
        return checks
    return tuple(
        skipped(check.name, f"{check.message}; docker logs in all the same, through its engine")
        if check.name in (*NETWORK_CHECKS, *SERVER_CHECKS) and _without_result(check)
        else check
        for check in checks
    )


def _without_result(check: Check) -> bool:
    return check.outcome is Outcome.NOT_REACHED or (check.broken and check.name in NETWORK_CHECKS)
