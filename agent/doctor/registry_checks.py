"""The chain of checks for one registry, from its secret to a pull. Independent checks run concurrently."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from agent.doctor import aws, docker_config, network, registry
from agent.doctor.check import Check, CheckRun, Outcome, broken, from_problem, not_reached, passed, skipped
from agent.doctor.docker_config import DockerFiles, EffectiveLogin
from agent.doctor.login import LoginTools, active_rejection, try_login
from agent.doctor.report import RegistryReport
from agent.doctor.target import Target
from agent.edge.aws.client import AwsClient
from agent.edge.registry_requests import RegistryRequests
from agent.model.credential import Credential
from agent.model.docker_config import Entry
from agent.model.docker_errors import ProbeResult
from agent.model.plan import Login, Plan, Skipped
from agent.model.problem import Needs, Problem, Severity
from agent.model.problems.stored_login import InternalError
from agent.model.sensitive import Sensitive
from agent.model.status import State
from agent.model.text import printable
from agent.services.rejections import Rejections
from agent.settings import Settings

if TYPE_CHECKING:
    from agent.model.docker_config import Document

_NAMES: Final = (
    "secret",
    "agent",
    *docker_config.CHECKS,
    *network.CHECKS,
    *registry.CHECKS,
    *aws.CHECKS,
    "login",
    "pull",
)
_ASK_S: Final = 8.0
_FAILED: Final = (State.RETRYING, State.REJECTED, State.EXPIRED)
Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the checks of all registries use. `status` is the running agent's, `document` is Docker's configuration.

    `learned` is called with each secret that turns up, so that it is masked in the report.
    """

    plan: Plan
    settings: Settings
    requests: RegistryRequests
    files: DockerFiles
    aws: AwsClient
    rejections: Rejections
    learned: Callable[[Sensitive], None]
    login_tools: Callable[[], Awaitable[LoginTools]]
    status: "asyncio.Task[Status | None]"
    document: "asyncio.Task[Document | None]"
    try_refused: bool


class RegistryChecks:
    """The checks for `target`. `login` is the plan's login for it, or None if there is none."""

    def __init__(self, target: Target, login: Login | None, shared: Shared) -> None:
        self._target: Final = target
        self._login: Final = login
        self._shared: Final = shared
        self._results: Final = CheckRun(_NAMES)
        self._name: Final = target.registry.hostname
        skipped = (each for each in shared.plan.skipped if each.registry == target.registry)
        self._skipped: Final[Skipped | None] = next(skipped, None)

    def report(self, *, late: bool) -> RegistryReport:
        login = self._login
        return RegistryReport(
            self._name,
            _without_consequences(self._results.checks(late=late)),
            str(self._target.image) if self._target.image else None,
            login.secret.name if login else None,
            login.kind.value if login else None,
        )

    async def run(self) -> None:
        """Run all checks. Raises only if cancelled: a bug here must not stop the checks of other registries."""
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001 - anything from outside may cause it; only the type is sure to hold no secret
            bug = InternalError(self._name, f"the doctor failed with an unexpected {type(error).__name__}")
            self._results.add(from_problem("pull", bug))

    async def _run(self) -> None:
        # The login needs the results of all of these. They do not depend on each other.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check_secret())
            group.create_task(self._check_in_use())
            network_checks = group.create_task(self._check_network())
            credential = group.create_task(self._obtain())
        logged_in = await self._log_in(credential.result(), reached=network_checks.result())
        await self._pull(credential.result(), reached=network_checks.result(), logged_in=logged_in)

    async def _check_secret(self) -> None:
        """Which secret serves the registry, and what a running agent reports about the registry."""
        # Shielded: all registries wait for the same task, and cancelling one of them must not cancel it.
        status = await asyncio.shield(self._shared.status)
        row = _row(status, self._name)
        self._results.add(self._secret(row))
        if status is None:
            self._results.add(skipped("agent", "no agent answers"))
        elif row is None:
            self._results.add(skipped("agent", "the running agent does not know this registry"))
        else:
            self._results.add(_agent_report(row, status, examined=self._login is not None))

    def _secret(self, row: Status | None) -> Check:
        login, skipped_one = self._login, self._skipped
        if login is not None:
            message = f"{login.secret.name} ({login.secret.scope}, {login.kind}) from {login.secret.origin}"
            return passed("secret", printable(message, 600))
        if skipped_one is not None and not skipped_one.wanted:
            return skipped("secret", printable(f"{skipped_one.secret.name} is not used: {skipped_one.reason}", 600))
        problem = self._secret_problem()
        if problem is not None:
            return from_problem("secret", problem)
        if row is not None:
            name = printable(str(row.get("secret")), 127)
            return skipped("secret", f"no secret that this user can read; the agent uses {name}")
        fix = f"add a secret with the hostname {self._name} to a source in secrets.directories or secrets.url"
        return broken("secret", f"there is no secret for {self._name}", fix)

    def _secret_problem(self) -> Problem | None:
        """The problem because of which the plan cannot use the registry's secret, if there is one."""
        if self._skipped is None:
            return None
        subjects = (self._name, self._skipped.secret.subject)
        return next((problem for problem in self._shared.plan.problems if problem.subject in subjects), None)

    async def _check_in_use(self) -> None:
        document = await asyncio.shield(self._shared.document)
        row = _row(await asyncio.shield(self._shared.status), self._name)
        if document is not None:
            logged_in = row is not None and row.get("state") == State.LOGGED_IN
            requests, registry = self._shared.requests, self._target.registry

            async def ask(entry: Entry) -> ProbeResult:
                self._shared.learned(entry.secret)
                return await requests.check(registry, entry, _ASK_S)

            in_use = EffectiveLogin(
                self._shared.files, document, registry, self._login, ask=ask, agent_logged_in=logged_in
            )
            await in_use.run(self._results)

    async def _check_network(self) -> bool:
        path = network.Network(self._target.registry, self._shared.requests, datetime.now(UTC))
        return await path.run(self._results) and await registry.ping(
            self._results, self._target.registry, self._shared.requests
        )

    async def _obtain(self) -> Credential | None:
        if self._login is None:
            self._results.add(*(skipped(name, "there is no secret to log in with") for name in aws.CHECKS))
            return None
        problems = [problem for problem in self._shared.plan.problems if problem.subject == self._name]
        credential = await aws.obtain(self._results, self._login, self._shared.aws, self._shared.settings.aws, problems)
        # Before the login: docker and the registry may repeat the token in a message.
        if credential is not None:
            self._shared.learned(credential.password)
        return credential

    async def _log_in(self, credential: Credential | None, *, reached: bool) -> bool:
        login, results = self._login, self._results
        if login is None:
            results.add(skipped("login", "there is no secret to log in with"))
            return False
        row = _row(await asyncio.shield(self._shared.status), self._name)
        rejection = None if self._shared.try_refused else active_rejection(login, self._shared.rejections, row)
        if rejection is not None:
            return results.add(rejection)
        if credential is None:
            results.add(not_reached("login", "there is no password or token to log in with"))
            return False
        tools = await self._shared.login_tools()
        if tools.tools.docker is None:
            results.add(not_reached("login", "there is no working docker CLI"))
            return False
        # With an engine, the engine connects to the registry. It may have a route that this machine does not have.
        if not reached and not tools.tools.engine_reachable:
            results.add(not_reached("login", "the registry cannot be reached"))
            return False
        return await results.check("login", try_login(login, credential, tools))

    async def _pull(self, credential: Credential | None, *, reached: bool, logged_in: bool) -> None:
        image = self._target.image
        if image is None:
            self._results.add(skipped("pull", "no image given (HOST can be one, for example ghcr.io/org/name:tag)"))
        elif not reached:
            self._results.add(not_reached("pull", "the registry cannot be reached"))
        elif self._login is not None and not logged_in:
            self._results.add(not_reached("pull", "there is no login"))
        else:
            arn = credential.identity if credential else None
            work = registry.pull(self._target.registry, image, credential, self._shared.requests, arn)
            await self._results.check("pull", work)


def _without_consequences(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Mark "in use" as not reached if the login fails. Docker then has no login, but that is only a consequence."""
    login = next(check for check in checks if check.name == "login")
    if login.outcome in (Outcome.OK, Outcome.SKIPPED):
        return checks
    return tuple(
        not_reached(check.name, check.message)
        if check.name == "in use" and check.broken and check.code is None
        else check
        for check in checks
    )


def _row(status: Status | None, hostname: str) -> Status | None:
    rows = status.get("registries") if status else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("hostname") == hostname:
            return row
    return None


def _agent_report(row: Status, status: Status, *, examined: bool) -> Check:
    """What the agent reports about the registry.

    If the doctor has `examined` the login itself, the agent's report is only shown. If only the agent can read the
    secret, a login that fails in the agent fails the check.
    """
    state = printable(str(row.get("state")).replace("_", " "), 40)
    error = f": {printable(str(row['last_error']), 400)}" if row.get("last_error") else ""
    warnings = status.get("warnings")
    about = [
        warning
        for warning in (warnings if isinstance(warnings, list) else ())
        if isinstance(warning, dict) and warning.get("subject") == row.get("hostname")
    ]
    codes = [printable(str(warning.get("code")), 60) for warning in about]
    code_list = f" ({', '.join(codes)})" if codes else ""
    check = Check("agent", Outcome.OK, f"reports {state}{code_list}{error}")
    if row.get("state") not in _FAILED:
        return check
    worst = next(iter(sorted(about, key=lambda warning: warning.get("severity") != Severity.ERROR)), {})
    fix = printable(str(worst.get("hint") or "run `registry-agent status` for details"), 700)
    if examined:
        return replace(check, fix=fix)
    needs = str(worst.get("needs"))
    return replace(
        check,
        outcome=Outcome.BROKEN,
        code=codes[about.index(worst)] if worst else None,
        severity=Severity.ERROR if worst.get("severity") == Severity.ERROR else Severity.WARNING,
        fix=fix,
        needs=Needs(needs) if needs in [*Needs] else Needs.USER,
    )
