"""Answers the credential helper: programs that need a login get one that is fresh, or the reason why there is none."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from agent.model.desired_login import DesiredLogin
from agent.model.docker_config import helpers_by_key
from agent.model.helper_lines import keys_of
from agent.model.helper_names import OWN_HELPER
from agent.model.helper_protocol import is_login, list_reply, login_reply, parse_store
from agent.model.helper_reply import HelperReply, not_found, refused, unavailable
from agent.model.problem import ProblemError, Severity
from agent.model.registry import DOCKER_HUB, Registry
from agent.model.snapshot import Snapshot
from agent.model.status import OpenWarning, Phase, RegistryStatus, State
from agent.services.ports import Board, ConfigFile, ConfirmedTime, Log
from agent.services.served_logins import ServedLogins

_FRESH: Final = timedelta(minutes=5)
"""How long a login should still work. BuildKit keeps an answer for nearly as long, and a build goes on with it."""
_WAIT_S: Final = 13.0
"""How long a program waits for a renewal. Together with everything else, it gets its answer within 15 s."""
_HUB: Final = Registry(DOCKER_HUB).docker_key
_UNREAD: Final = ("secrets_unavailable", "secret_invalid")
"""Warnings about a source or a secret that could not be read, so its registries are not known."""


class HelperAnswers:
    """Answers by the exact key that a program asks for. A login for another key would be a wrong one.

    The wall clock decides which login is fresh, unless a server contradicts it: the monotonic clock stands still during
    a suspend. `refresh` has a registry renew its login now, and does not wait. `wait_s` is how long a request waits.
    """

    def __init__(
        self,
        *,
        board: Board,
        served: ServedLogins,
        config: ConfigFile,
        time: ConfirmedTime,
        log: Log,
        refresh: Callable[[str], None],
        wait_s: float = _WAIT_S,
    ) -> None:
        self._board: Final = board
        self._served: Final = served
        self._config: Final = config
        self._time: Final = time
        self._log: Final = log
        self._refresh: Final = refresh
        self._wait_s: Final = wait_s
        self._used: Final[set[str]] = set()

    async def answer(self, action: str, body: str, pid: int) -> HelperReply:
        """Answer one request of the process `pid`."""
        server = body.strip()
        match action:
            case "get":
                reply = await self._get(server)
            case "list":
                reply = self._list()
            case "store":
                server, reply = self._store(body)
            case "erase":
                reply = HelperReply("erased")
            case _:
                reply = refused("registry-agent does not know this action; install the helper of the same version")
        self._record(action, reply, self._hostname(server), pid)
        return reply

    async def _get(self, server: str) -> HelperReply:
        if not server:
            return refused("no credentials server URL")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s):
                await self._wait_until_fresh(server)
        login, snapshot = self._served.accepted(server), self._board.snapshot
        if login is not None and not self._time.now().is_over(login.expires_at):
            return login_reply(server, login.entry)
        row = _row(snapshot, server)
        causes = _causes(snapshot, row) if row is not None else []
        # A secret that is disabled or excluded on purpose has no warning, and its registry may be public.
        if row is not None and (causes or row.state is not State.SKIPPED):
            return unavailable(_reason(row, causes))
        if snapshot.phase is Phase.STARTING:
            return unavailable("registry-agent has not read all its secrets yet; try again in a moment")
        unread = _unread(snapshot) if row is None else None
        if unread is not None and await self._has_line(server):
            return unavailable(_text(server, unread))
        return not_found()

    async def _has_line(self, server: str) -> bool:
        """Whether Docker's configuration names the agent for this key, so its secret was known before a restart."""
        with suppress(ProblemError):
            return bool(helpers_by_key(await self._config.read()).get(server) == OWN_HELPER)
        return False

    async def _wait_until_fresh(self, server: str) -> None:
        """Return when there is a fresh login, or when waiting any longer would not help."""
        attempts: int | None = None
        while not self._is_fresh(login := self._served.accepted(server)):
            snapshot = self._board.snapshot
            row = _row(snapshot, server)
            if row is None:
                if snapshot.phase is not Phase.STARTING:
                    return
            elif attempts is None and login is not None and self._may_renew(row, login):
                attempts = row.attempts
                self._refresh(row.hostname)
            elif not self._is_under_way(row, attempts):
                return
            await self._board.changed(snapshot.revision)

    def _is_fresh(self, login: DesiredLogin | None) -> bool:
        if login is None:
            return False
        return login.expires_at is None or not self._time.now().is_over(login.expires_at - _FRESH)

    def _may_renew(self, row: RegistryStatus, login: DesiredLogin) -> bool:
        """Whether a renewal helps. It does not for a token that lives shorter than what counts as fresh.

        After a failure, only the retry helps that is planned already.
        """
        if row.state is not State.LOGGED_IN or row.attempting or row.consecutive_failures:
            return False
        ends = row.expires_at or login.expires_at  # the row shows none while Docker uses another login
        lives = ends - row.logged_in_at if ends and row.logged_in_at else timedelta()
        return self._time.now().is_over(login.expires_at) or (row.renew_at is not None and lives > _FRESH)

    def _is_under_way(self, row: RegistryStatus, attempts: int | None) -> bool:
        """Whether an attempt is in progress, or starts soon. `attempts` is their number when one was requested."""
        if row.attempting or row.attempts == attempts or row.state is State.PENDING:
            return True
        soon = self._time.now().wall + timedelta(seconds=self._wait_s)
        return row.next_attempt_at is not None and row.next_attempt_at <= soon

    def _list(self) -> HelperReply:
        now = self._time.now()
        keys = [login.registry.docker_key for login in self._served.logins()]
        logins = {key: login for key in keys if (login := self._served.accepted(key)) is not None}
        return list_reply({key: login.entry for key, login in logins.items() if not now.is_over(login.expires_at)})

    def _store(self, body: str) -> tuple[str, HelperReply]:
        """Accept what the agent itself has given: `docker login` without a user name stores it again."""
        parsed = parse_store(body)
        if parsed is None:
            return "", refused("no credentials server URL, user name or secret")
        server, username, secret = parsed
        login = self._served.login(server)
        if login is not None and is_login(login.entry, username, secret):
            return server, HelperReply("stored")
        # The browser login of docker stores its tokens below the key of Docker Hub.
        row = _row(self._board.snapshot, _HUB if server.startswith(_HUB) else server)
        if row is None:
            return server, refused(
                "registry-agent stores no logins; remove this registry from credHelpers in Docker's config.json"
            )
        return server, refused(
            f"{row.hostname} is kept by registry-agent; change secret {row.secret}, "
            f"or list {row.hostname} in secrets.exclude"
        )

    def _hostname(self, server: str) -> str | None:
        login = self._served.login(server)
        row = _row(self._board.snapshot, server)
        return row.hostname if row is not None else login.registry.hostname if login is not None else None

    def _record(self, action: str, reply: HelperReply, hostname: str | None, pid: int) -> None:
        self._log.debug("credential.answered", registry=hostname, action=action, outcome=reply.outcome, pid=pid)
        if reply.outcome == "served" and hostname is not None and hostname not in self._used:
            self._used.add(hostname)
            self._log.info("credential.served", registry=hostname, pid=pid)


def _row(snapshot: Snapshot, server: str) -> RegistryStatus | None:
    return next((row for row in snapshot.registries if server in keys_of(Registry(row.hostname))), None)


def _causes(snapshot: Snapshot, row: RegistryStatus) -> list[OpenWarning]:
    """Why there is no login: the warnings about the registry, and the one about its secret or docker."""
    about = [each for each in snapshot.warnings if each.subject == row.hostname or each.message == row.last_error]
    causes = [warning for warning in about if warning.severity is not Severity.NOTICE]
    # `token_expired` is only a consequence of the cause, which is in another warning.
    return sorted(causes, key=lambda warning: (warning.code == "token_expired", warning.severity is not Severity.ERROR))


def _unread(snapshot: Snapshot) -> OpenWarning | None:
    """Why the secret of a registry without a row may be missing. A secret with a row is known, although it is wrong."""
    shown = {row.last_error for row in snapshot.registries}
    unread = [each for each in snapshot.warnings if each.code in _UNREAD and each.message not in shown]
    return min(unread, key=lambda warning: _UNREAD.index(warning.code), default=None)


def _reason(row: RegistryStatus, causes: Sequence[OpenWarning]) -> str:
    """Why there is no login, in the words of the status."""
    if causes:
        return _text(row.hostname, causes[0])
    cause = row.last_error or "its first login is not finished"
    return f"registry-agent has no login for {row.hostname}: {cause}; try again, or run `registry-agent status`"


def _text(registry: str, cause: OpenWarning) -> str:
    return f"registry-agent has no login for {registry}: {cause.message}; {cause.hint}"
