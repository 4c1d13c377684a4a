"""The agent's parts, built and wired: the only file that knows everyone."""

import random
import secrets
import socket
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent import __version__
from agent.edge import paths, secret_files
from agent.edge.aws import Aws
from agent.edge.clock import Clock
from agent.edge.config_lock import ConfigLock
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_cli import DockerCli
from agent.edge.docker_config import DockerConfigFile
from agent.edge.docker_engine import DockerEngine
from agent.edge.http import HttpClient, read_token_file
from agent.edge.ledger import Ledger
from agent.edge.lookout import Lookout
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.registry_probe import RegistryProbe
from agent.edge.report_target import ReportTarget
from agent.edge.sandbox import Sandbox
from agent.edge.secret_url import SecretUrl
from agent.edge.systemd import Systemd
from agent.edge.threads import WorkerThreads
from agent.edge.tool_probes import ToolProbes
from agent.model.credential import AwsIdentity, EcrToken
from agent.model.secret_environment import read_environment
from agent.model.snapshot import Process
from agent.observe.journal import Journal
from agent.observe.libraries import LibraryLog
from agent.observe.log import Log
from agent.observe.metrics import Metrics
from agent.observe.redaction import Learned, Scrubber, secrets_of_environment
from agent.services.board import Board
from agent.services.clock_watch import ClockWatch
from agent.services.credentials import Credentials
from agent.services.custody import Custody
from agent.services.logins import Logins
from agent.services.planning import Planning
from agent.services.refusals import Refusals
from agent.services.reports import Reports
from agent.services.sandbox_watch import SandboxWatch
from agent.services.secrets import Secrets
from agent.services.sign_in import SignIn
from agent.services.surroundings import Surroundings
from agent.services.tools import ToolWatch
from agent.services.watchdog import Watchdog
from agent.settings import AwsSettings, Settings
from agent.web.document import StatusDocument
from agent.web.pages import Pages
from agent.web.routes import Routes
from agent.web.server import StatusServer

_THREADS = 64
"""Names and file systems that hang keep a thread each; there must be some left for what does not."""
_TOKENS_KNOWN = 50
_KEYS_KNOWN = 200
"""The tokens fetched last, and what AWS was asked with, which the log masks; an older one was replaced or has ended."""


class Service(Protocol):
    """One thing that runs as long as the agent does."""

    @property
    def name(self) -> str: ...
    async def run(self) -> None: ...


@dataclass(slots=True)
class LiveSettings:
    """The settings of the moment; everyone asks for them when they are needed, so a reload holds at once."""

    value: Settings

    def __call__(self) -> Settings:
        return self.value


class Parts:
    """Everything, from the settings and the environment. Building it does no more than read the state directory."""

    def __init__(self, settings: Settings, environ: MutableMapping[str, str]) -> None:
        self.systemd = Systemd(environ)
        self.settings = LiveSettings(settings)
        self.environ: Mapping[str, str] = environ
        self.runtime = paths.runtime_directory(environ)
        self.clock = Clock()
        self.http = HttpClient()
        self.workers = WorkerThreads(_THREADS, "worker")
        self.lookout = Lookout()
        self._observers()
        self._logins()
        self._sources()
        self._status()

    @property
    def services(self) -> tuple[Service, ...]:
        """What runs beside each other, the status first."""
        watchdog = Watchdog(self.systemd, self.clock, self.board, lambda: self.logins.turning)
        clock_watch = ClockWatch(self.clock, self.board, self.log.logger, self._look_at_clock)
        return (
            self.server,
            self.tools,
            self.secrets,
            self.logins,
            self.custody,
            self.reports,
            clock_watch,
            watchdog,
        )

    def sandbox_watch(self, on_lost: Callable[[], None]) -> SandboxWatch:
        """Runs beside `services` in a unit of systemd."""
        sandbox = Sandbox(self.settings.value.docker.config_dir)
        return SandboxWatch(sandbox, self.clock, self.lookout, self.log.logger, on_lost)

    def _observers(self) -> None:
        settings = self.settings.value
        self.scrubber = Scrubber()
        self.scrubber.protect(secrets_of_environment(self.environ), owner="environment")
        self.log = Log(settings.log.level, settings.log.format, self.scrubber.scrub, self.environ)
        self.log.context["environment"] = settings.environment.id
        self.libraries = LibraryLog(self.log.logger)
        process = Process(
            version=__version__,
            start_id=secrets.token_hex(8),
            started_at=self.clock.now(),
            invocation_id=self.environ.get("INVOCATION_ID"),
            environment_id=settings.environment.id,
            user=paths.user_name(),
            host=socket.gethostname(),
        )
        self.board = Board(process, self.clock.now, Journal(self.log.logger), self.scrubber.scrub)

    def _logins(self) -> None:
        environ, board, clock, log = self.environ, self.board, self.clock, self.log.logger
        config_dir = self.settings.value.docker.config_dir
        self.lock = ConfigLock(config_dir)
        self.ledger = Ledger(paths.state_directory(environ), config_dir)
        self.docker_cli = DockerCli(environ, self.runtime)
        engine = DockerEngine(environ)
        probes = ToolProbes(environ, self.docker_cli, engine)
        self.tools = ToolWatch(
            probes, clock, board, log, self.lookout, engine_address=engine.address, on_docker=self._wake_logins
        )
        self.custody = Custody(
            config=DockerConfigFile(config_dir, self.systemd.unit),
            helpers=CredentialHelpers(environ, unit=self.systemd.unit),
            podman=PodmanAuthFiles(environ, paths.home(environ)),
            ledger=self.ledger,
            board=board,
            clock=clock,
            log=log,
            lookout=self.lookout,
            auth_config=environ.get("DOCKER_AUTH_CONFIG"),
        )
        learned = Learned(self.scrubber, "aws", _KEYS_KNOWN)
        aws = Aws(user=paths.user_name(), environ=environ, now=clock.now, learned=learned)
        tokens = _ProtectedTokens(aws, Learned(self.scrubber, "ecr", _TOKENS_KNOWN))
        self.credentials = Credentials(
            tokens=tokens, clock=clock, settings=self.settings, board=board, log=log, draw=_draw
        )
        probe = RegistryProbe(self.http, clock.now)
        surroundings = Surroundings(
            credentials=self.credentials,
            sign_in=SignIn(self.docker_cli, probe, self.tools, lambda: self.settings.value.docker.login_timeout_s),
            custody=self.custody,
            refusals=Refusals(self.ledger, clock.now, self.scrubber.scrub),
            docker=self.tools,
            board=board,
            clock=clock,
            log=log,
            settings=self.settings,
            new_id=lambda: secrets.token_hex(4),
        )
        self.logins = Logins(
            surroundings, board=board, ledger=self.ledger, tokens=self.credentials, want_aws=self.tools.want_aws
        )

    def _look_at_clock(self) -> None:
        self.credentials.clock_jumped()
        self.logins.wake()

    def _wake_logins(self) -> None:
        self.logins.wake()

    def _sources(self) -> None:
        environ = self.environ
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        self.planning = Planning(self.settings, region, self.logins.follow)
        directory = environ.get("CREDENTIALS_DIRECTORY")
        self.secrets = Secrets(
            settings=self.settings,
            clock=self.clock,
            board=self.board,
            log=self.log.logger,
            scrubber=self.scrubber,
            files=secret_files,
            address=SecretUrl(self.http),
            environment=read_environment(environ),
            credentials_directory=Path(directory) if directory else None,
            draw=_draw,
            lookout=self.lookout,
            on_change=self.planning.take,
        )

    def _status(self) -> None:
        document = StatusDocument(self.clock)
        metrics = Metrics(self.log.tally, lambda: self.log.dropped)
        self.server = StatusServer(
            board=self.board,
            routes=Routes(
                self.board,
                document,
                self.logins,
                self.log,
                metrics,
                timeline=self.log.timeline,
                pages=Pages(lambda: self.settings.value.status.allow_origins),
            ),
            settings=self.settings,
            read_token=read_token_file,
            clock=self.clock,
            log=self.log.logger,
            socket_path=self.runtime / paths.SOCKET_NAME,
            inherited=self.systemd.inherited_socket(),
        )
        self.reports = Reports(
            self.board, ReportTarget(self.http), document, self.settings, clock=self.clock, log=self.log.logger
        )


class _ProtectedTokens:
    def __init__(self, aws: Aws, learned: Learned) -> None:
        self._aws = aws
        self._learned = learned

    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> EcrToken:
        token = await self._aws.fetch_token(identity, settings)
        self._learned(token.password)
        return token


def _draw() -> float:
    """From -1 to 1; it spreads load and guards nothing."""
    return random.uniform(-1, 1)  # noqa: S311 - as said
