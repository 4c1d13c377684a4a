"""What answers from the first moment: the log, the board and the status, built before the rest is even loaded."""

import secrets
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

from agent import __version__
from agent.edge import paths
from agent.edge.clock import Clock
from agent.edge.http import read_token_file
from agent.edge.systemd import Systemd
from agent.edge.threads import WorkerThreads
from agent.model.snapshot import Process
from agent.observe.libraries import LibraryLog
from agent.observe.log import Log
from agent.observe.metrics import Metrics
from agent.observe.redaction import Scrubber, secrets_of_environment
from agent.observe.warning_log import WarningLog
from agent.services.board import Board
from agent.settings import Settings
from agent.web.document import StatusDocument
from agent.web.pages import Pages
from agent.web.routes import Renewer, Routes
from agent.web.server import StatusServer

_THREADS: Final = 64
"""Names and file systems that hang keep a thread each; there must be some left for what does not."""


@dataclass(slots=True)
class LiveSettings:
    """The settings of the moment; everyone asks for them when they are needed, so a reload holds at once."""

    value: Settings

    def __call__(self) -> Settings:
        return self.value


class Bootstrap:
    """Nothing here waits for anything outside; a status can be had while the rest is loaded."""

    def __init__(self, settings: Settings, environ: MutableMapping[str, str]) -> None:
        self.systemd: Final = Systemd(environ)
        self.settings: Final = LiveSettings(settings)
        self.environ: Final[Mapping[str, str]] = environ
        self.runtime: Final = paths.runtime_directory(environ)
        self.clock: Final = Clock()
        self.workers: Final = WorkerThreads(_THREADS, "worker")
        self.scrubber: Final = Scrubber()
        self.scrubber.protect(secrets_of_environment(environ), owner="environment")
        self.log: Final = Log(settings.log.level, settings.log.format, self.scrubber.scrub, environ)
        self.log.context["environment"] = settings.environment.id
        self.libraries: Final = LibraryLog(self.log.logger)
        process = Process(
            version=__version__,
            start_id=secrets.token_hex(8),
            started_at=self.clock.now(),
            invocation_id=environ.get("INVOCATION_ID"),
            environment_id=settings.environment.id,
            user=paths.user_name(),
            host=socket.gethostname(),
        )
        self.board: Final = Board(process, self.clock.now, WarningLog(self.log.logger), self.scrubber.scrub)
        self.document: Final = StatusDocument(self.clock)
        self.renewals: Final = Renewals()
        self.server: Final = self._server()

    def _server(self) -> StatusServer:
        routes = Routes(
            self.board,
            self.document,
            self.renewals,
            self.log,
            Metrics(self.log.counters, lambda: self.log.dropped),
            timeline=self.log.timeline,
            pages=Pages(lambda: self.settings.value.status.allow_origins),
        )
        return StatusServer(
            board=self.board,
            routes=routes,
            settings=self.settings,
            read_token=read_token_file,
            clock=self.clock,
            log=self.log.logger,
            socket_path=self.runtime / paths.SOCKET_NAME,
            inherited=self.systemd.inherited_socket(),
        )


class Renewals:
    """Asks whoever renews; until there is someone, no registry is known."""

    renewer: Renewer | None = None

    def renew(self, hostname: str | None) -> list[str]:
        """As whoever it asks."""
        if self.renewer is not None:
            return self.renewer.renew(hostname)
        if hostname is not None:
            raise LookupError(hostname)
        return []
