"""The checks of Docker's configuration: the file, its disk, the store, and which login Docker would use."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.doctor.check import Check, CheckRun, broken, from_problem, passed, skipped, with_more
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_config import DockerConfigFile
from agent.edge.permission_hints import permission_hint
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.state_file import StateFile
from agent.model.credential import Credential
from agent.model.desired_login import COMPUTING_HELPERS, CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import (
    Document,
    Entry,
    entries,
    field,
    find,
    has_own_helper,
    parse_auth_variable,
    store_of,
)
from agent.model.docker_config_fields import CliVersion, reads_auth_variable
from agent.model.docker_errors import ProbeResult
from agent.model.plan import Login
from agent.model.problem import ProblemError
from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import ConfigUnwritable, CredentialStoreFailed
from agent.model.registry import Registry
from agent.model.secret import ECR_USER
from agent.model.sensitive import Sensitive
from agent.model.text import printable
from agent.services.overrides import Overrides

CHECKS: Final = ("store", "in use")
_FILE_S: Final = 4.0
_CALLS: Final = BlockingCalls("doctor-config")
_HELPER_S: Final = 6.0
_EXTRA_BLOCKS: Final = 2
"""Free blocks that a rewrite needs in addition to the file's size: for the new file and its directory entry."""
_SAME_CONFIGURATION: Final = (
    "use the same DOCKER_CONFIG as the agent (its setting docker.config_dir), and run the agent as this user"
)
_NOTHING: Final = Sensitive("")


@dataclass(frozen=True, slots=True)
class DockerFiles:
    """Everything that decides which login Docker uses.

    `auth_config` is the value of DOCKER_AUTH_CONFIG, which `cli_version` may ignore.
    """

    config: DockerConfigFile
    helpers: CredentialHelpers
    podman: PodmanAuthFiles
    state_file: StateFile
    auth_config: str | None
    cli_version: Callable[[], CliVersion | None]


async def config_file(files: DockerFiles) -> tuple[Document | None, list[Check]]:
    """Read Docker's configuration, and check whether a login could be written to it.

    The document is None if Docker could not read it either.
    """
    path = files.config.path
    # Each of these calls can hang in a network file system.
    try:
        async with asyncio.timeout(_FILE_S):
            document = await files.config.read()
            obstacle = await _CALLS.call(path, lambda: _write_obstacle(path), timeout=_FILE_S)
            exists = await _CALLS.call(path, path.exists, timeout=_FILE_S)
    except TimeoutError:
        hangs = ConfigUnwritable(str(path), f"{path} hangs: its file system does not answer")
        return None, [from_problem("configuration", hangs)]
    except ProblemError as error:
        return None, [from_problem("configuration", error.problem)]
    if obstacle is not None:
        reason, hint = obstacle
        unwritable = ConfigUnwritable(str(path), f"{path} cannot be written: {reason}", hint=hint)
        return document, [from_problem("configuration", unwritable)]
    state = f"logins: {len(entries(document))}" if exists else "does not exist yet"
    store = field(document, "credsStore")
    helper = f", credsStore: {printable(str(store), 100)}" if store else ""
    return document, [passed("configuration", f"{printable(str(path))} ({state}{helper})")]


def _write_obstacle(path: Path) -> tuple[str, str | None] | None:
    """Why a write to `path` would fail, and a hint. None if nothing is in the way. Blocking.

    The doctor changes nothing, so this only reads. It cannot detect a quota.
    """
    # If config.json is a symbolic link, the agent replaces the file that it points to.
    target = Path(os.path.realpath(path))
    # Missing directories will be created in the first one that exists.
    directory = next(above for above in target.parents if os.access(above, os.F_OK))
    file_system = os.statvfs(directory)
    if file_system.f_flag & os.ST_RDONLY:
        return "the file system is read-only", permission_hint(path, errno.EROFS, None)
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"permission denied (for user {os.geteuid()}): {directory}", permission_hint(path, errno.EACCES, None)
    size = target.stat().st_size if os.access(target, os.F_OK) else 0
    # Root may also use the reserved blocks.
    free = file_system.f_bfree if os.geteuid() == 0 else file_system.f_bavail
    needed = size // file_system.f_frsize + _EXTRA_BLOCKS
    # Some file systems report 0 blocks or inodes in total because they have no fixed limit.
    if file_system.f_blocks and free < needed:
        return f"the disk is full ({free * file_system.f_frsize // 1024} KiB free)", permission_hint(
            path, errno.ENOSPC, None
        )
    if file_system.f_files and not file_system.f_favail:
        return "the disk is full (no free inodes)", permission_hint(path, errno.ENOSPC, None)
    return None


class EffectiveLogin:
    """Finds out which login Docker would use for one registry, in Docker's own order: variable, store, file.

    `ask` sends a stored login to the registry. `agent_logged_in` is true if a running agent reports that it is logged
    in to this registry.
    """

    def __init__(
        self,
        files: DockerFiles,
        document: Document,
        registry: Registry,
        login: Login | None,
        *,
        ask: Callable[[Entry], Awaitable[ProbeResult]],
        agent_logged_in: bool = False,
    ) -> None:
        self._files: Final = files
        self._document: Final = document
        self._registry: Final = registry
        self._login: Final = login
        self._ask: Final = ask
        self._agent_logged_in: Final = agent_logged_in

    async def run(self, results: CheckRun) -> None:
        key = self._registry.docker_key
        helper = store_of(self._document, key)
        found: Entry | None = None
        source = CONFIG_FILE
        if helper is None:
            results.add(passed("store", f"the file {printable(str(self._files.config.path))}"))
            match = find(self._document, key)
            if match is not None:
                found = match[1]
                source = CONFIG_FILE if match[0] == key else f"{CONFIG_FILE} (the older key {printable(match[0], 100)})"
        else:
            source = f"docker-credential-{printable(helper, 100)}"
            try:
                async with asyncio.timeout(_HELPER_S):
                    # Every pull runs `get`. The doctor never runs `store`.
                    found = await self._files.helpers.get(helper, key)
                results.add(self._check_store(helper, found))
            except ProblemError as error:
                results.add(from_problem("store", error.problem.about(self._registry.hostname)))
                return
            except TimeoutError:
                message = f"{source} get did not finish within {_HELPER_S:g} s"
                results.add(from_problem("store", CredentialStoreFailed(self._registry.hostname, message)))
                return
        answer = await self._answer(found)
        if answer is not None and answer.refused:
            results.add(with_more(from_problem("in use", self._refused()), self._describe(found, source)))
            return
        persons = helper in COMPUTING_HELPERS or has_own_helper(self._document, key)
        stored = StoreResult(
            helper or CONFIG_FILE,
            found,
            self._is_ours(found) or found is None,
            works=persons and answer is not None and answer.status == HTTPStatus.OK,
        )
        results.add(self._check_use(stored, source, await self._read_podman_logins()))

    async def _answer(self, found: Entry | None) -> ProbeResult | None:
        """What the registry answers to the login that docker would use.

        The password in the secret is not sent here: the login check does that, and registries lock accounts.
        """
        source = self._login.source if self._login else None
        if found is None or (isinstance(source, Credential) and _entry(source).same_login(found)):
            return None
        return await self._ask(found)

    def _refused(self) -> LoginRejected:
        hostname = self._registry.hostname
        fix = f"run `registry-agent renew {hostname}`" if self._login else f"run `docker login {hostname}`"
        return LoginRejected(hostname, f"{hostname} refuses the login that docker uses", hint=fix)

    def _check_store(self, helper: str, found: Entry | None) -> Check:
        """Report helpers that are known to store nothing, and have no login. Only a login shows it of other helpers."""
        name = f"docker-credential-{printable(helper, 100)}"
        if helper in COMPUTING_HELPERS and self._login is not None and found is None:
            message = f"{name} cannot store logins (it reports: not implemented)"
            return from_problem("store", CredentialStoreFailed(self._registry.hostname, message))
        return passed("store", f"{name} answers")

    async def _read_podman_logins(self) -> Mapping[str, Document]:
        try:
            async with asyncio.timeout(_FILE_S):
                return await self._files.podman.read()
        except TimeoutError:
            # podman's files only add a remark, so a hanging file system there does not fail the check.
            return {}

    def _check_use(self, stored: StoreResult, source: str, podman: Mapping[str, Document]) -> Check:
        hostname, found = self._registry.hostname, stored.login
        auth_config = self._files.auth_config if reads_auth_variable(self._files.cli_version()) else None
        variable = parse_auth_variable(auth_config).get(self._registry.docker_key)
        message = self._describe(found, source)
        if found is None and variable is None and self._agent_logged_in:
            # A renewal would not help here: the agent would store the login in the other configuration again.
            cause = f"the agent reports a login, so it uses a different configuration than {self._files.config.path}"
            return broken("in use", f"{message}; {printable(cause, 600)}", _SAME_CONFIGURATION)
        if self._login is None:
            return passed("in use", message) if found or variable else skipped("in use", message)
        desired = DesiredLogin(self._registry, self._expected(found, ours=stored.ours), None)
        problems = Overrides(auth_config).of(desired, stored, podman)
        if problems:
            return with_more(from_problem("in use", problems[0]), message)
        if found is None and variable is None:
            fix = f"start the agent (`registry-agent run`); if it runs already, run `registry-agent renew {hostname}`"
            return broken("in use", message, fix)
        return passed("in use", message)

    def _describe(self, found: Entry | None, source: str) -> str:
        if found is None:
            return f"docker has no login for {self._registry.hostname}: pulls are anonymous"
        user = "an identity token" if found.identity_token else f"user {printable(found.username, 100)}"
        return f"{user} from {source}"

    def _is_ours(self, found: Entry | None) -> bool:
        """Whether the agent wrote this entry: by the hashes of what it wrote, else by comparing with the secret.

        The hashes are missing if the agent never ran here. For an ECR token, the user name then has to do.
        """
        if found is None or self._login is None:
            return False
        known = self._files.state_file.entries().get(self._registry.hostname)
        if known is not None and self._files.state_file.digest(self._registry.docker_key, found) in known.digests:
            return True
        source = self._login.source
        if isinstance(source, Credential):
            return _entry(source).same_login(found) or (found.identity_token and known is None)
        return known is None and found.username == ECR_USER

    def _expected(self, found: Entry | None, *, ours: bool) -> Entry:
        """The entry that the agent would store. A token is not known before it is fetched, so `found` stands for it."""
        source = self._login.source if self._login else None
        if found is not None and (ours or not isinstance(source, Credential)):
            return found
        return _entry(source) if isinstance(source, Credential) else Entry(ECR_USER, _NOTHING)


def _entry(credential: Credential) -> Entry:
    return Entry(credential.username, credential.password)
