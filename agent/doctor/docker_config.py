"""Docker's configuration: the file, its disk, the store, and whose login Docker would really use for a registry."""

import asyncio
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.doctor.check import Check, CheckRun, broken, from_problem, passed, skipped, with_more
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_config import DockerConfigFile
from agent.edge.permission_hints import permission_hint
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.state_file import StateFile
from agent.model.credential import Credential
from agent.model.docker_config import ConfigError, Document, Entry, entries, field, find, parse_config, store_of
from agent.model.plan import Login
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ConfigUnwritable, CredentialStoreFailed
from agent.model.registry import Registry
from agent.model.secret import ECR_USER
from agent.model.sensitive import Sensitive
from agent.model.text import printable
from agent.services.credential_store import CONFIG_FILE, DesiredLogin, StoreResult
from agent.services.overrides import Overrides

LINKS: Final = ("store", "in use")
_FILE_S: Final = 4.0
_HELPER_S: Final = 6.0
_BLOCKS: Final = 2
"""Free blocks beside the file's own size that a rewrite of the file takes: the new one, and the directory's entry."""
# They answer `get` out of another source, and take nothing (their own `Add`).
_CANNOT_STORE: Final = frozenset({"ecr-login"})


_SAME_CONFIGURATION: Final = (
    "see that DOCKER_CONFIG (docker.config_dir) is the same here as for the agent, and that the agent is this user's"
)
_NOTHING: Final = Sensitive("")


@dataclass(frozen=True, slots=True)
class DockerFiles:
    """All that tells what Docker would use. `auth_config` is the value of DOCKER_AUTH_CONFIG."""

    config: DockerConfigFile
    helpers: CredentialHelpers
    podman: PodmanAuthFiles
    state_file: StateFile
    auth_config: str | None


async def config_file(files: DockerFiles) -> tuple[Document | None, list[Check]]:
    """The document, None where Docker could not read it; and whether a login could be written into it."""
    path = files.config.path
    try:
        async with asyncio.timeout(_FILE_S):
            document = await files.config.read()
            refusal = await asyncio.to_thread(_refusal, path)
            exists = await asyncio.to_thread(path.exists)
    except TimeoutError:
        hangs = ConfigUnwritable(str(path), f"{path} hangs: its file system does not answer")
        return None, [from_problem("configuration", hangs)]
    except ProblemError as error:
        problem = error.problem
        return None, [from_problem("configuration", problem)]
    if refusal is not None:
        reason, hint = refusal
        unwritable = ConfigUnwritable(str(path), f"{path} cannot be written: {reason}", hint=hint)
        return document, [from_problem("configuration", unwritable)]
    there = f"{len(entries(document))} logins in it" if exists else "not there yet"
    store = field(document, "credsStore")
    helped = f", credsStore {printable(str(store), 100)}" if store else ""
    return document, [passed("configuration", f"{printable(str(path))}, {there}{helped}")]


def _refusal(path: Path) -> tuple[str, str | None] | None:
    """Why nothing could be written there and what to do, as far as that can be told without writing. Blocking."""
    target = Path(os.path.realpath(path))
    directory = next(above for above in target.parents if above.exists())
    system = os.statvfs(directory)
    if system.f_flag & os.ST_RDONLY:
        return "the file system is read-only", permission_hint(path, errno.EROFS, None)
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"permission denied (for user {os.geteuid()}): {directory}", permission_hint(path, errno.EACCES, None)
    size = target.stat().st_size if target.exists() else 0
    free = system.f_bfree if os.geteuid() == 0 else system.f_bavail
    needed = size // system.f_frsize + _BLOCKS
    if system.f_blocks and free < needed:
        return f"the disk is full ({free * system.f_frsize // 1024} KiB free)", permission_hint(
            path, errno.ENOSPC, None
        )
    if system.f_files and not system.f_favail:
        return "the disk is full (no file can be made any more)", permission_hint(path, errno.ENOSPC, None)
    return None


class EffectiveLogin:
    """Whose login Docker would use for one registry, by Docker's own order: variable, store, file.

    `agent_logged_in`: an agent that runs says that it keeps a login for it.
    """

    def __init__(
        self,
        files: DockerFiles,
        document: Document,
        registry: Registry,
        login: Login | None,
        *,
        agent_logged_in: bool = False,
    ) -> None:
        self._files: Final = files
        self._document: Final = document
        self._registry: Final = registry
        self._login: Final = login
        self._agent_logged_in: Final = agent_logged_in

    async def run(self, walk: CheckRun) -> None:
        key = self._registry.docker_key
        helper = store_of(self._document, key)
        found: Entry | None = None
        where = CONFIG_FILE
        if helper is None:
            walk.add(passed("store", f"the file itself, {printable(str(self._files.config.path))}"))
            under = find(self._document, key)
            if under is not None:
                found = under[1]
                where = CONFIG_FILE if under[0] == key else f"{CONFIG_FILE} (the older key {printable(under[0], 100)})"
        else:
            where = f"docker-credential-{printable(helper, 100)}"
            try:
                async with asyncio.timeout(_HELPER_S):
                    found = await self._files.helpers.get(helper, key)
                walk.add(self._store(helper))
            except ProblemError as error:
                problem = error.problem
                walk.add(from_problem("store", problem.about(self._registry.hostname)))
                return
            except TimeoutError:
                fault = CredentialStoreFailed(
                    self._registry.hostname, f"{where} get did not end within {_HELPER_S:g} s"
                )
                walk.add(from_problem("store", fault))
                return
        walk.add(self._use(found, where, helper, await self._podman()))

    def _store(self, helper: str) -> Check:
        """A helper that is known to take nothing cannot keep a login; whether others do only a login tells."""
        name = f"docker-credential-{printable(helper, 100)}"
        if helper in _CANNOT_STORE and self._login is not None:
            fault = f"{name} cannot store logins (it says: not implemented)"
            return from_problem("store", CredentialStoreFailed(self._registry.hostname, fault))
        return passed("store", f"{name}, which answers")

    async def _podman(self) -> Mapping[str, Document]:
        try:
            async with asyncio.timeout(_FILE_S):
                return await self._files.podman.read()
        except TimeoutError:
            return {}

    def _use(self, found: Entry | None, where: str, helper: str | None, podman: Mapping[str, Document]) -> Check:
        hostname = self._registry.hostname
        variable = _in_variable(self._files.auth_config, self._registry)
        seen = self._words(found, where)
        if found is None and variable is None and self._agent_logged_in:
            elsewhere = f"the agent says it logged in, so it keeps another configuration than {self._files.config.path}"
            return broken("in use", f"{seen}; {printable(elsewhere, 600)}", _SAME_CONFIGURATION)
        if self._login is None:
            return passed("in use", seen) if found or variable else skipped("in use", seen)
        ours = self._is_ours(found)
        order = DesiredLogin(self._registry, self._expected(found, ours=ours), None)
        placed = StoreResult(helper or CONFIG_FILE, found, ours or found is None)
        problems = Overrides(self._files.auth_config).of(order, placed, podman)
        if problems:
            return with_more(from_problem("in use", problems[0]), seen)
        if found is None and variable is None:
            fix = f"have the agent log in: start it, or `registry-agent renew {hostname}` where it runs"
            return broken("in use", seen, fix)
        return passed("in use", seen)

    def _words(self, found: Entry | None, where: str) -> str:
        if found is None:
            return f"docker has no login for {self._registry.hostname}: pulls are anonymous"
        user = "an identity token" if found.identity_token else f"user {printable(found.username, 100)}"
        return f"{user} from {where}"

    def _is_ours(self, found: Entry | None) -> bool:
        """By the hashes of what the agent wrote, else by the secret; of a token that nobody knows it cannot be told."""
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
        source = self._login.source if self._login else None
        if found is not None and (ours or not isinstance(source, Credential)):
            return found
        return _entry(source) if isinstance(source, Credential) else Entry(ECR_USER, _NOTHING)


def _entry(credential: Credential) -> Entry:
    return Entry(credential.username, credential.password)


def _in_variable(auth_config: str | None, registry: Registry) -> Entry | None:
    try:
        document = parse_config((auth_config or "").encode("utf-8", "surrogateescape"))
    except ConfigError:
        return None
    return entries(document).get(registry.docker_key)
