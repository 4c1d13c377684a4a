"""One registry's chain, from its secret to a pull; independent links are looked at side by side."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from agent.doctor import aws, docker_config, network, registry
from agent.doctor.check import Check, CheckRun, Outcome, broken, from_problem, not_reached, passed, skipped
from agent.doctor.docker_config import DockerFiles, EffectiveLogin
from agent.doctor.login import LoginParts, active_rejection, try_login
from agent.doctor.report import RegistryReport
from agent.doctor.target import Target
from agent.edge.aws.client import AwsClient
from agent.edge.registry_requests import RegistryRequests
from agent.model.credential import Credential
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

_NAMES: Final = ("secret", "agent", *docker_config.LINKS, *network.LINKS, *registry.LINKS, *aws.LINKS, "login", "pull")
_FAILED: Final = (State.RETRYING, State.REJECTED, State.EXPIRED)
Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shared:
    """What every chain works with. `status`: of an agent that runs; `document`: Docker's configuration."""

    plan: Plan
    settings: Settings
    questions: RegistryRequests
    files: DockerFiles
    aws: AwsClient
    rejections: Rejections
    learned: Callable[[Sensitive], None]
    login_parts: Callable[[], Awaitable[LoginParts]]
    status: "asyncio.Task[Status | None]"
    document: "asyncio.Task[Document | None]"
    try_refused: bool


class RegistryChecks:
    """Of `target`; `login` is the plan's, None where there is none."""

    def __init__(self, target: Target, login: Login | None, shared: Shared) -> None:
        self._target: Final = target
        self._login: Final = login
        self._with: Final = shared
        self._walk: Final = CheckRun(_NAMES)
        self._name: Final = target.registry.hostname
        skipped = (each for each in shared.plan.skipped if each.registry == target.registry)
        self._skipped: Final[Skipped | None] = next(skipped, None)

    def report(self, *, late: bool) -> RegistryReport:
        login = self._login
        return RegistryReport(
            self._name,
            _without_followups(self._walk.checks(late=late)),
            str(self._target.image) if self._target.image else None,
            login.secret.name if login else None,
            login.kind.value if login else None,
        )

    async def run(self) -> None:
        """Never raises but when it is cancelled: a fault of one chain costs no other."""
        try:
            await self._all()
        except Exception as error:  # noqa: BLE001 - outside things may give anything; the type alone tells no secret
            fault = InternalError(self._name, f"a fault of the doctor itself: {type(error).__name__}")
            self._walk.add(from_problem("pull", fault))

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._secret())
            group.create_task(self._in_use())
            way = group.create_task(self._reach())
            credential = group.create_task(self._obtain())
        logged_in = await self._log_in(credential.result(), reached=way.result())
        await self._pull(credential.result(), reached=way.result(), logged_in=logged_in)

    async def _secret(self) -> None:
        """Which secret serves it; and what an agent that runs says of the registry."""
        status = await asyncio.shield(self._with.status)
        row = _row(status, self._name)
        self._walk.add(self._served(row))
        if status is None:
            self._walk.add(skipped("agent", "none to ask"))
        elif row is None:
            self._walk.add(skipped("agent", "the agent that runs does not know this registry"))
        else:
            self._walk.add(_said(row, status, examined=self._login is not None))

    def _served(self, row: Status | None) -> Check:
        login, skipped_one = self._login, self._skipped
        if login is not None:
            seen = f"{login.secret.name} ({login.secret.scope}, {login.kind}) from {login.secret.origin}"
            return passed("secret", printable(seen, 600))
        if skipped_one is not None and not skipped_one.wanted:
            return skipped("secret", printable(f"{skipped_one.secret.name} is left alone: {skipped_one.reason}", 600))
        problem = self._refused_secret()
        if problem is not None:
            return from_problem("secret", problem)
        if row is not None:
            whose = printable(str(row.get("secret")), 127)
            return skipped("secret", f"none that this user can read; the agent has {whose} for it")
        fix = f"give one whose hostname is {self._name}, where `secrets.directories` or `secrets.url` points"
        return broken("secret", f"no secret is for {self._name}", fix)

    def _refused_secret(self) -> Problem | None:
        """Why the plan cannot use the secret that there is."""
        if self._skipped is None:
            return None
        subjects = (self._name, self._skipped.secret.subject)
        return next((problem for problem in self._with.plan.problems if problem.subject in subjects), None)

    async def _in_use(self) -> None:
        document = await asyncio.shield(self._with.document)
        row = _row(await asyncio.shield(self._with.status), self._name)
        if document is not None:
            said = row is not None and row.get("state") == State.LOGGED_IN
            in_use = EffectiveLogin(
                self._with.files, document, self._target.registry, self._login, agent_logged_in=said
            )
            await in_use.run(self._walk)

    async def _reach(self) -> bool:
        looked = network.Network(self._target.registry, self._with.questions, datetime.now(UTC))
        return await looked.run(self._walk) and await registry.ping(
            self._walk, self._target.registry, self._with.questions
        )

    async def _obtain(self) -> Credential | None:
        if self._login is None:
            self._walk.add(*(skipped(name, "there is no secret to log in with") for name in aws.LINKS))
            return None
        remarks = [problem for problem in self._with.plan.problems if problem.subject == self._name]
        credential = await aws.obtain(self._walk, self._login, self._with.aws, self._with.settings.aws, remarks)
        if credential is not None:
            self._with.learned(credential.password)
        return credential

    async def _log_in(self, credential: Credential | None, *, reached: bool) -> bool:
        login, walk = self._login, self._walk
        if login is None:
            walk.add(skipped("login", "there is no secret to log in with"))
            return False
        row = _row(await asyncio.shield(self._with.status), self._name)
        held = None if self._with.try_refused else active_rejection(login, self._with.rejections, row)
        if held is not None:
            return walk.add(held)
        if credential is None:
            walk.add(not_reached("login", "there is nothing to log in with"))
            return False
        parts = await self._with.login_parts()
        if parts.tools.docker is None:
            walk.add(not_reached("login", "there is no docker CLI that works"))
            return False
        # An engine may have a way to the registry that this machine's programs have not.
        if not reached and not parts.tools.engine_reachable:
            walk.add(not_reached("login", "the registry is out of reach"))
            return False
        return await walk.check("login", try_login(login, credential, parts))

    async def _pull(self, credential: Credential | None, *, reached: bool, logged_in: bool) -> None:
        image = self._target.image
        if image is None:
            self._walk.add(skipped("pull", "no image was named (HOST may be one, such as ghcr.io/org/name:tag)"))
        elif not reached:
            self._walk.add(not_reached("pull", "the registry is out of reach"))
        elif self._login is not None and not logged_in:
            self._walk.add(not_reached("pull", "there is no login"))
        else:
            who = credential.identity if credential else None
            asked = registry.pull(self._target.registry, image, credential, self._with.questions, who)
            await self._walk.check("pull", asked)


def _without_followups(links: tuple[Check, ...]) -> tuple[Check, ...]:
    """Where the login itself fails, that Docker has none is no fault of its own, and would hide the cause."""
    login = next(link for link in links if link.name == "login")
    if login.outcome in (Outcome.OK, Outcome.SKIPPED):
        return links
    return tuple(
        not_reached(link.name, link.message) if link.name == "in use" and link.broken and link.code is None else link
        for link in links
    )


def _row(status: Status | None, hostname: str) -> Status | None:
    rows = status.get("registries") if status else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("hostname") == hostname:
            return row
    return None


def _said(row: Status, status: Status, *, examined: bool) -> Check:
    """The agent's word. It decides nothing beside the doctor's own looks; of a login that only it can try, it does."""
    state = printable(str(row.get("state")).replace("_", " "), 40)
    error = f": {printable(str(row['last_error']), 400)}" if row.get("last_error") else ""
    warnings = status.get("warnings")
    about = [
        warning
        for warning in (warnings if isinstance(warnings, list) else ())
        if isinstance(warning, dict) and warning.get("subject") == row.get("hostname")
    ]
    codes = [printable(str(warning.get("code")), 60) for warning in about]
    told = f" ({', '.join(codes)})" if codes else ""
    said = Check("agent", Outcome.OK, f"says {state}{told}{error}")
    if row.get("state") not in _FAILED:
        return said
    worst = next(iter(sorted(about, key=lambda warning: warning.get("severity") != Severity.ERROR)), {})
    fix = printable(str(worst.get("hint") or "see what `registry-agent status` says of it"), 700)
    if examined:
        return replace(said, fix=fix)
    needs = str(worst.get("needs"))
    return replace(
        said,
        outcome=Outcome.BROKEN,
        code=codes[about.index(worst)] if worst else None,
        severity=Severity.ERROR if worst.get("severity") == Severity.ERROR else Severity.WARNING,
        fix=fix,
        needs=Needs(needs) if needs in [*Needs] else Needs.USER,
    )
