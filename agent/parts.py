"""Everything behind the front, built and wired: the only file that knows everyone."""

import random
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from agent.edge import paths, secret_files
from agent.edge.aws import Aws
from agent.edge.config_lock import ConfigLock
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_cli import DockerCli
from agent.edge.docker_config import DockerConfigFile
from agent.edge.docker_engine import DockerEngine
from agent.edge.http import HttpClient
from agent.edge.ledger import Ledger
from agent.edge.lookout import Lookout
from agent.edge.memory import collect
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.registry_probe import RegistryProbe
from agent.edge.report_target import ReportTarget
from agent.edge.sandbox import Sandbox
from agent.edge.secret_url import SecretUrl
from agent.edge.tool_probes import ToolProbes
from agent.front import Front
from agent.model.credential import AwsIdentity, EcrToken
from agent.model.secret_environment import read_environment
from agent.observe.redaction import Learned
from agent.services.clock_watch import ClockWatch
from agent.services.credentials import Credentials
from agent.services.custody import Custody
from agent.services.lock_watch import LockWatch
from agent.services.logins import Logins
from agent.services.planning import Planning
from agent.services.refusals import Refusals, chain_words
from agent.services.reports import Reports
from agent.services.sandbox_watch import SandboxWatch
from agent.services.secrets import Secrets
from agent.services.sign_in import SignIn
from agent.services.surroundings import Surroundings
from agent.services.tidying import Tidying
from agent.services.tools import ToolWatch
from agent.services.watchdog import Watchdog
from agent.settings import AwsSettings

_TOKENS_KNOWN = 50
_KEYS_KNOWN = 200
"""The tokens fetched last, and what AWS was asked with, which the log masks; an older one was replaced or has ended."""


class Service(Protocol):
    """One thing that runs as long as the agent does."""

    @property
    def name(self) -> str: ...
    async def run(self) -> None: ...


class Parts:
    """Building it does no more than read the state directory."""

    def __init__(self, front: Front) -> None:
        self._front: Final = front
        self._http: Final = HttpClient()
        self.lookout: Final = Lookout()
        self._logins()
        self._sources()
        self.reports: Final = Reports(
            front.board,
            ReportTarget(self._http),
            front.document,
            front.settings,
            clock=front.clock,
            log=front.log.logger,
        )
        front.renewals.renewer = self.logins

    @property
    def services(self) -> tuple[Service, ...]:
        """What runs beside each other, the status first."""
        front = self._front
        watchdog = Watchdog(front.systemd, front.clock, front.board, lambda: self.logins.turning)
        clock_watch = ClockWatch(front.clock, front.board, front.log.logger, self._look_at_clock)
        return (
            front.server,
            self.tools,
            self.secrets,
            self.logins,
            self.custody,
            self.reports,
            clock_watch,
            watchdog,
            Tidying(front.clock, collect),
        )

    def lock_watch(self, on_lost: Callable[[], None]) -> LockWatch:
        """Runs beside `services`."""
        return LockWatch(self.lock.hold, self._front.clock, self.lookout, on_lost)

    def sandbox_watch(self, on_lost: Callable[[], None]) -> SandboxWatch:
        """Runs beside `services` in a unit of systemd."""
        front = self._front
        sandbox = Sandbox(front.settings.value.docker.config_dir)
        return SandboxWatch(sandbox, front.clock, self.lookout, front.log.logger, on_lost)

    def _logins(self) -> None:
        front = self._front
        environ, board, clock, log = front.environ, front.board, front.clock, front.log.logger
        config_dir = front.settings.value.docker.config_dir
        self.lock = ConfigLock(config_dir)
        self.ledger = Ledger(paths.state_directory(environ), config_dir)
        self.docker_cli = DockerCli(environ, front.runtime)
        engine = DockerEngine(environ)
        probes = ToolProbes(environ, self.docker_cli, engine)
        self.tools = ToolWatch(
            probes, clock, board, log, self.lookout, engine_address=engine.address, on_docker=self._wake_logins
        )
        self.docker_config = DockerConfigFile(config_dir, front.systemd.unit)
        self.custody = Custody(
            config=self.docker_config,
            helpers=CredentialHelpers(environ, unit=front.systemd.unit),
            podman=PodmanAuthFiles(environ, paths.home(environ)),
            ledger=self.ledger,
            board=board,
            clock=clock,
            log=log,
            lookout=self.lookout,
            auth_config=environ.get("DOCKER_AUTH_CONFIG"),
        )
        learned = Learned(front.scrubber, "aws", _KEYS_KNOWN)
        aws = Aws(user=paths.user_name(), environ=environ, now=clock.now, learned=learned)
        tokens = _ProtectedTokens(aws, Learned(front.scrubber, "ecr", _TOKENS_KNOWN))
        self.credentials = Credentials(
            tokens=tokens,
            clock=clock,
            settings=front.settings,
            board=board,
            log=log,
            draw=_draw,
            on_token=self._wake_logins,
        )
        probe = RegistryProbe(self._http, clock.now)
        surroundings = Surroundings(
            credentials=self.credentials,
            sign_in=SignIn(self.docker_cli, probe, self.tools, lambda: front.settings.value.docker.login_timeout_s),
            custody=self.custody,
            refusals=Refusals(
                self.ledger, clock.now, front.scrubber.scrub, lambda: chain_words(front.settings.value.aws, environ)
            ),
            docker=self.tools,
            board=board,
            clock=clock,
            log=log,
            settings=front.settings,
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
        front, environ = self._front, self._front.environ
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        self.planning = Planning(front.settings, region, self.logins.follow)
        directory = environ.get("CREDENTIALS_DIRECTORY")
        self.secrets = Secrets(
            settings=front.settings,
            clock=front.clock,
            board=front.board,
            log=front.log.logger,
            scrubber=front.scrubber,
            files=secret_files,
            address=SecretUrl(self._http),
            environment=read_environment(environ),
            credentials_directory=Path(directory) if directory else None,
            draw=_draw,
            lookout=self.lookout,
            on_change=self.planning.take,
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
