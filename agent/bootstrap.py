"""The first part of the agent: the log, the board and the status server, ready before the rest is loaded."""

import secrets
import socket
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

from agent import __version__
from agent.edge import paths
from agent.edge.clock import Clock
from agent.edge.systemd import Systemd
from agent.edge.token_file import read_token
from agent.model.snapshot import Process
from agent.observe.libraries import LibraryLog
from agent.observe.log import Log
from agent.observe.metrics import Metrics
from agent.observe.redaction import Scrubber, secrets_of_environment, secrets_of_settings
from agent.services.board import Board
from agent.settings import Settings
from agent.web.credential import CredentialRoute
from agent.web.document import StatusDocument
from agent.web.pages import Pages
from agent.web.routes import Routes
from agent.web.server import StatusServer

_FIRST_REVISIONS: Final = 2**30
"""Each start counts from another number: a client that waits for a change of the former process gets an answer.

The revision stays below 2**31, in case a client reads it as a 32-bit number.
"""


@dataclass(slots=True)
class LiveSettings:
    """The current settings. Components read them at each use, so a reload applies at once."""

    value: Settings

    def __call__(self) -> Settings:
        return self.value


class Bootstrap:
    """Builds the parts that need nothing from outside, so the status is available while the rest loads."""

    def __init__(self, settings: Settings, environ: MutableMapping[str, str]) -> None:
        self.systemd: Final = Systemd(environ)
        self.settings: Final = LiveSettings(settings)
        self.environ: Final[Mapping[str, str]] = environ
        self.runtime: Final = paths.runtime_directory(environ)
        self.clock: Final = Clock()
        self.scrubber: Final = Scrubber()
        # Before anything is logged.
        self.scrubber.protect(secrets_of_environment(environ), owner="environment")
        self.protect(settings)
        self.log: Final = Log(settings.log.level, settings.log.format, self.scrubber.scrub_own, environ)
        self.log.context["environment"] = settings.environment.id
        self.libraries: Final = LibraryLog(self.log.logger, self.scrubber.scrub)
        process = Process(
            version=__version__,
            start_id=secrets.token_hex(8),
            started_at=self.clock.now(),
            invocation_id=environ.get("INVOCATION_ID") or None,
            environment_id=settings.environment.id,
            user=paths.user_name(),
            host=socket.gethostname(),
        )
        self.board: Final = Board(
            process,
            self.clock.now,
            self.log.logger,
            self.scrubber.scrub_own,
            first_revision=secrets.randbelow(_FIRST_REVISIONS),
        )
        self.document: Final = StatusDocument(self.clock)
        self.credential_route: Final = CredentialRoute(self.log.logger, process.user)
        # The status server starts before the logins are loaded. Until then, no registry is known.
        self.renew: Callable[[str | None], list[str]] = _renew_none
        self.server: Final = self._server()

    def protect(self, settings: Settings) -> None:
        """Mask the passwords in these settings."""
        self.scrubber.protect(secrets_of_settings(settings), owner="settings")

    def _renew(self, hostname: str | None) -> list[str]:
        return self.renew(hostname)

    def _server(self) -> StatusServer:
        routes = Routes(
            self.board,
            self.document,
            renew=self._renew,
            recent_events=self.log.recent,
            timeline=self.log.timeline.recent,
            metrics=Metrics(self.log.counters, lambda: self.log.dropped).render,
            pages=Pages(lambda: self.settings.value.status.allow_origins),
        )
        inherited = self.systemd.inherited_sockets()
        return StatusServer(
            board=self.board,
            routes=routes,
            socket_routes=self.credential_route.table(),
            settings=self.settings,
            read_token=read_token,
            clock=self.clock,
            log=self.log.logger,
            socket_path=self.runtime / paths.SOCKET_NAME,
            inherited=inherited.sockets,
            not_inherited=inherited.problems,
        )


def _renew_none(hostname: str | None) -> list[str]:
    if hostname is not None:
        raise LookupError(hostname)
    return []
