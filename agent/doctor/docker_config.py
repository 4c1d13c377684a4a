"""The checks of Docker's configuration: the file, its disk, the store, and which login Docker would use."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from agent.blocking import BlockingCalls
from agent.doctor.agent_status import AgentStatus
from agent.doctor.check import Check, CheckRun, broken, from_problem, not_reached, passed, skipped, with_more
from agent.doctor.context import Context
from agent.doctor.ownership import entry_of, is_ours
from agent.edge.docker_config import DockerConfigFile
from agent.edge.paths import docker_directory
from agent.model.commands import command
from agent.model.credential import Credential
from agent.model.desired_login import COMPUTING_HELPERS, CONFIG_FILE, MEMORY, DesiredLogin, StoreResult
from agent.model.docker_config import (
    Document,
    Entry,
    entries,
    find,
    has_own_helper,
    store_of,
)
from agent.model.docker_results import ProbeResult
from agent.model.ecr_token import token_end
from agent.model.encoded_login import ECR_USER
from agent.model.helper_names import OWN_HELPER
from agent.model.hints import computing_helper_hint, sudo_advice
from agent.model.plan import Login
from agent.model.problem import Problem, ProblemError
from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import AgentHasNoLogin, CannotStore, ConfigUnwritable, TokenExpired
from agent.model.registry import Registry
from agent.model.renewal import expired
from agent.model.sensitive import Sensitive
from agent.model.status import rfc3339
from agent.model.text import printable

_FILE_S: Final = 4.0
_ASK_S: Final = 8.0
_CALLS: Final = BlockingCalls("doctor-config")
_VARIABLE: Final = "DOCKER_AUTH_CONFIG"
_SAME_CONFIGURATION: Final = (
    "use the same DOCKER_CONFIG as the agent (its setting docker.config_dir), and run the agent as this user"
)
_LOG_IN_AGAIN: Final = (
    "run `registry-agent renew HOST` if the agent has a secret for this registry; otherwise log in again, or "
    "log out if its images are public; if the token is new, set this machine's clock"
)
_START: Final = "start the agent (`registry-agent run`)"
_NOT_RUNNING: Final = "registry-agent is not running"
_WAIT: Final = "run `registry-agent status --wait`: the agent runs, but has not logged in yet"


async def config_file(config: DockerConfigFile) -> tuple[Document | None, list[Check]]:
    """Read Docker's configuration, and check whether a login could be written to it.

    The document is None if Docker could not read it either.
    """
    path = config.path
    # Each of these calls can hang in a network file system.
    try:
        async with asyncio.timeout(_FILE_S):
            document = await config.read()
            unwritable = await _unwritable(config)
            exists = await _CALLS.call(path, path.exists, timeout=_FILE_S)
    except TimeoutError:
        hangs = ConfigUnwritable(str(path), f"{path} hangs: its file system does not answer")
        return None, [from_problem("configuration", hangs)]
    except ProblemError as error:
        return None, [from_problem("configuration", error.problem)]
    if unwritable is not None:
        return document, [from_problem("configuration", unwritable)]
    state = f"logins: {len(entries(document))}" if exists else "does not exist yet"
    return document, [passed("configuration", f"{printable(str(path))} ({state})")]


async def _unwritable(config: DockerConfigFile) -> Problem | None:
    """Why a login could not be written, in the agent's own words."""
    try:
        await config.check_writable()
    except ProblemError as error:
        return error.problem
    return None


@dataclass(frozen=True, slots=True)
class HeldLogin:
    """The login that Docker uses for a registry, where it is from, and whether it may work."""

    entry: Entry
    source: str
    accepted: bool = True

    def __str__(self) -> str:
        user = "an identity token" if self.entry.identity_token else f"user {printable(self.entry.username, 100)}"
        return f"{user} from {self.source}"


@dataclass(frozen=True, slots=True)
class EffectiveLogin:
    """Finds out which login Docker would use for one registry, in Docker's own order: variable, store, file."""

    context: Context
    status: AgentStatus | None
    document: Document
    registry: Registry
    login: Login | None

    async def run(self, results: CheckRun) -> HeldLogin | None:
        """Add the results, and return the login that Docker would use, or None if there is none."""
        helper = store_of(self.document, self.registry.docker_key)
        try:
            stored = self._in_file(results) if helper is None else await self._in_helper(helper, results)
        except ProblemError as error:
            if isinstance(error.problem, AgentHasNoLogin):
                results.add(passed("store", f"docker-credential-{helper} answers"), self._denied(error.problem))
            else:
                results.add(from_problem("store", error.problem.about(self.registry.hostname)))
            return None
        variable = self.context.overrides.variable(self.registry)
        held = stored if variable is None else HeldLogin(variable, _VARIABLE)
        answer = await self._answer(held)
        problem = (self._ended(held.entry) or self._refused(held, answer)) if held is not None else None
        if held is not None and problem is not None:
            results.add(with_more(from_problem("in use", problem), str(held)))
            return replace(held, accepted=False)
        if held is None or self.login is None:
            results.add(self._missing() if held is None else passed("in use", str(held)))
            return held
        persons = helper in COMPUTING_HELPERS or has_own_helper(self.document, self.registry.docker_key)
        works = persons and answer is not None and answer.status == HTTPStatus.OK
        results.add(await self._check_use(held, stored.entry if stored else None, helper, self.login, works=works))
        return held

    def _in_file(self, results: CheckRun) -> HeldLogin | None:
        results.add(passed("store", f"the file {printable(str(self.context.config.path))}"))
        match = find(self.document, self.registry.docker_key)
        if match is None:
            return None
        key, entry = match
        older = "" if key == self.registry.docker_key else f" (the older key {printable(key, 100)})"
        return HeldLogin(entry, f"{CONFIG_FILE}{older}")

    async def _in_helper(self, helper: str, results: CheckRun) -> HeldLogin | None:
        """Ask the helper as every pull does. The doctor never runs `store`."""
        name = f"docker-credential-{printable(helper, 100)}"
        helpers = self.context.own_helper if helper == OWN_HELPER else self.context.helpers
        found = await helpers.get(helper, self.registry.docker_key)
        # Of other helpers, only a login shows whether they can store one.
        if helper in COMPUTING_HELPERS and self.login is not None and found is None:
            message = f"{name} cannot store logins (it reports: not implemented)"
            hint = computing_helper_hint(helper)
            results.add(from_problem("store", CannotStore(self.registry.hostname, message, hint=hint)))
        else:
            results.add(passed("store", f"{name} answers"))
        return HeldLogin(found, name) if found is not None else None

    async def _answer(self, held: HeldLogin | None) -> ProbeResult | None:
        """What the registry answers to the login that docker would use.

        The password in the secret is not sent here: the login check does that, and registries lock accounts.
        """
        if held is None:
            return None
        # The registry may repeat the password in its answer.
        self.context.learned(held.entry.secret)
        source = self.login.source if self.login else None
        secret = isinstance(source, Credential) and entry_of(source).same_login(held.entry)
        if secret or self._ended(held.entry):
            return None
        return await self.context.requests.check(self.registry, held.entry, _ASK_S)

    def _refused(self, held: HeldLogin, answer: ProbeResult | None) -> Problem | None:
        if answer is None or not answer.refused:
            return None
        hostname = self.registry.hostname
        renew, log_in = command("registry-agent renew", hostname), command("docker login", hostname)
        fix = f"run {renew}" if self.login else f"run {renew} if the agent has a secret for it, or else {log_in}"
        if held.source == _VARIABLE:
            fix = f"unset {_VARIABLE}, or replace {hostname} in it"
        return LoginRejected(hostname, f"{hostname} refuses the login that docker uses", hint=fix)

    def _ended(self, entry: Entry) -> Problem | None:
        """The problem of an ECR token that has expired: the token itself contains its end."""
        ends = token_end(entry)
        if ends is None or not expired(ends, datetime.now(UTC)):
            return None
        hostname = self.registry.hostname
        message = f"the ECR token that docker has for {hostname} expired at {rfc3339(ends)}"
        return TokenExpired(hostname, message, hint=_LOG_IN_AGAIN)

    async def _check_use(
        self, held: HeldLogin, stored: Entry | None, helper: str | None, login: Login, *, works: bool
    ) -> Check:
        """Compare with the secret, by the agent's own evaluation: doctor and status then use the same words."""
        ours = stored is not None and is_ours(stored, login, helper, self.context, self.status)
        desired = DesiredLogin(self.registry, _expected(stored, login, ours=ours), None)
        result = StoreResult(helper or CONFIG_FILE, stored, ours or stored is None, works=works)
        problems = self.context.overrides.of(desired, result, await self.context.podman.read(), self.document)
        return with_more(from_problem("in use", problems[0]), str(held)) if problems else passed("in use", str(held))

    def _denied(self, problem: AgentHasNoLogin) -> Check:
        """Docker asks the agent, which has no login. Without an agent, pulls fail even with a secret."""
        if self.status is not None:
            return self._missing(problem.message)
        return broken("in use", problem.message, _START if _NOT_RUNNING in problem.message else problem.hint)

    def _missing(self, reason: str | None = None) -> Check:
        """Docker has no login. If the agent runs, only the agent knows why. `reason` is what its helper printed."""
        hostname, status = self.registry.hostname, self.status
        message = reason or f"docker has no login for {hostname}: pulls are anonymous"
        if status is not None and status.is_logged_in(hostname):
            # A renewal would not help here: the agent would store the login in the other configuration again.
            path = self.context.config.path
            cause = f"the agent reports a login, so it uses a different configuration than {path}"
            for_root = self.context.user == "root" and status.user != "root"
            directory = docker_directory(status.user) if status.rows[hostname].stored_in != MEMORY else None
            fix = sudo_advice(status.user, directory) if for_root else _SAME_CONFIGURATION
            return broken("in use", f"{message}; {printable(cause, 600)}", fix)
        if self.login is None:
            return skipped("in use", message)
        if status is None:
            return broken("in use", message, _START)
        # Advice to start the agent or to renew would send people in a circle: the agent runs, and knows the reason.
        if status.explains(hostname):
            return not_reached("in use", f"{message}; the check `agent` shows why")
        if hostname in status.rows:
            return broken("in use", message, _WAIT)
        fix = f"give secret {printable(self.login.secret.name, 100)} to the agent too: it does not know {hostname}"
        return broken("in use", message, fix)


def _expected(found: Entry | None, login: Login, *, ours: bool) -> Entry:
    """The entry that the agent would store. A token is not known before it is fetched, so `found` stands for it."""
    if isinstance(login.source, Credential) and not (found and ours):
        return entry_of(login.source)
    return found or Entry(ECR_USER, Sensitive(""))
