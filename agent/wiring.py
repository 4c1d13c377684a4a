"""Builds and connects all components behind the bootstrap. The only file that imports all of them."""

import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from agent.bootstrap import Bootstrap
from agent.edge import paths, secret_files
from agent.edge.aws.client import AwsClient
from agent.edge.clouds import Clouds
from agent.edge.config_lock import ConfigLock
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_cli import DockerCli
from agent.edge.docker_config import DockerConfigFile
from agent.edge.docker_engine import DockerEngine
from agent.edge.file_version import signature
from agent.edge.file_watcher import FileWatcher
from agent.edge.helper_program import is_installed
from agent.edge.http import HttpClient
from agent.edge.memory import collect
from agent.edge.password_sources import PasswordSources
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.report_target import ReportTarget
from agent.edge.sandbox import Sandbox
from agent.edge.secret_url import SecretUrl
from agent.edge.state_file import StateFile
from agent.edge.stored_login_check import StoredLoginCheck
from agent.edge.tool_probes import ToolProbes
from agent.model.credential import AwsIdentity, AzureIdentity, GoogleIdentity, Token, TokenSource
from agent.model.password_source import PasswordSource
from agent.model.plan import Plan
from agent.model.secret_environment import read_environment
from agent.observe.redaction import LearnedSecrets
from agent.services.clock_watch import ClockWatch
from agent.services.confirmed_time import ConfirmedTime
from agent.services.credential_store import CredentialStore
from agent.services.credentials import Credentials
from agent.services.directory_watch import DirectoryWatch
from agent.services.docker_login import DockerLogin
from agent.services.helper_answers import HelperAnswers
from agent.services.helper_choice import HelperChoice
from agent.services.login_dependencies import LoginDependencies
from agent.services.logins import Logins
from agent.services.overrides import Overrides
from agent.services.password_files import PasswordFiles
from agent.services.periodic import Periodic
from agent.services.planning import Planning
from agent.services.ports import Service
from agent.services.reconciler import ConfigReconciler
from agent.services.rejections import Rejections, chain_inputs
from agent.services.reports import Reports
from agent.services.secrets import Secrets
from agent.services.served_logins import ServedLogins
from agent.services.state_watch import StateWatch
from agent.services.tools import ToolWatch
from agent.services.waiting import BEAT_S
from agent.services.watchdog import Watchdog
from agent.settings import Settings

# How many of the newest tokens and AWS keys the log masks. Older ones were replaced or have expired.
_MASKED_TOKENS = 50
_MASKED_KEYS = 200
_TIME_S = 10.0
"""How long to wait for a registry's time."""
_Fetch = Callable[[Any, Settings], Awaitable[Token]]
# An idle agent allocates too little for the interpreter to collect garbage by itself.
_GC_S = 600.0


class Components:
    """All components. Building them does no I/O."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap: Final = bootstrap
        self._http: Final = HttpClient()
        self.file_watcher: Final = FileWatcher()
        self._logins()
        self._sources()
        self.reports: Final = Reports(
            bootstrap.board,
            ReportTarget(self._http).send,
            bootstrap.document,
            bootstrap.settings,
            clock=bootstrap.clock,
            log=bootstrap.log.logger,
        )
        bootstrap.renew = self.logins.renew

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that run concurrently, the status server first."""
        bootstrap, clock, systemd = self._bootstrap, self._bootstrap.clock, self._bootstrap.systemd
        clock_watch = ClockWatch(clock, bootstrap.board, bootstrap.log.logger, self._on_clock_jump)
        return (
            bootstrap.server,
            self.tools,
            self.secrets,
            self.logins,
            self.password_files,
            self.reconciler,
            self.reports,
            Periodic("clock", BEAT_S, clock_watch.check, clock),
            Watchdog(systemd.notify, systemd.watchdog_s, clock, bootstrap.board, lambda: self.logins.alive),
            Periodic("state", BEAT_S, self.state_watch.check, clock),
            Periodic("gc", _GC_S, collect, clock),
        )

    def lock_watch(self, on_lost: Callable[[], None]) -> DirectoryWatch:
        """Build the service that keeps the lock; it runs next to `services`."""
        return DirectoryWatch("lock", self.lock.hold, self.file_watcher, on_lost)

    def sandbox_watch(self, on_lost: Callable[[], None]) -> DirectoryWatch:
        """Build the service that checks systemd's sandbox; it runs next to `services` in a systemd unit."""
        bootstrap = self._bootstrap
        sandbox = Sandbox(bootstrap.settings.value.docker.config_dir)

        def report_lost() -> None:
            bootstrap.log.logger.info("sandbox.lost", directory=str(sandbox.directory))
            on_lost()

        return DirectoryWatch("sandbox", lambda: not sandbox.is_lost(), self.file_watcher, report_lost)

    def _logins(self) -> None:
        bootstrap = self._bootstrap
        environ, board, clock, log = bootstrap.environ, bootstrap.board, bootstrap.clock, bootstrap.log.logger
        time, scrub = ConfirmedTime(clock), bootstrap.scrubber.scrub
        learned = LearnedSecrets(bootstrap.scrubber, "clouds", _MASKED_KEYS)
        config_dir = bootstrap.settings.value.docker.config_dir
        self.lock = ConfigLock(config_dir)
        self.state_file = StateFile(paths.state_directory(environ), config_dir)
        self.state_watch = StateWatch(self.state_file, board)
        engine = DockerEngine(environ, config_dir)
        self.docker_cli = DockerCli(environ, bootstrap.runtime, engine)
        probes = ToolProbes(environ, self.docker_cli, engine)
        self.tools = ToolWatch(probes, clock, board, log, self.file_watcher, on_docker=self._wake_logins)
        self.docker_config = DockerConfigFile(
            config_dir, bootstrap.systemd.unit, cli_version=lambda: self.docker_cli.installed
        )
        probe = StoredLoginCheck(self._http, clock.now, scrub=scrub)
        observed_probe = time.observing(probe.probe)
        served = ServedLogins()
        store = CredentialStore(
            self.docker_config,
            CredentialHelpers(environ, unit=bootstrap.systemd.unit, learned=learned, scrub=scrub),
            self.state_file,
            has_ended=lambda end: time.now().is_over(end),
            choice=HelperChoice(
                bootstrap.settings, lambda: is_installed(environ), lambda: bootstrap.server.is_listening, board
            ),
            served=served,
        )
        self.reconciler = ConfigReconciler(
            config=self.docker_config,
            store=store,
            podman=PodmanAuthFiles(environ, paths.home(environ)),
            board=board,
            clock=clock,
            time=time,
            log=log,
            watcher=self.file_watcher,
            check_login=probe.check,
            on_lost=self._wake_logins,
            overrides=Overrides(environ.get("DOCKER_AUTH_CONFIG"), lambda: self.docker_cli.installed),
        )
        shared: dict[str, Any] = {"environ": environ, "now": clock.now, "learned": learned, "scrub": scrub}
        aws = AwsClient(user=paths.user_name(), **shared)
        clouds = Clouds(http=self._http, ca_files=probe.ca_files, **shared)
        passwords = PasswordSources(environ=environ, now=clock.now, unit=bootstrap.systemd.unit)
        fetchers: Mapping[type[TokenSource], _Fetch] = {
            AwsIdentity: lambda identity, settings: aws.fetch_token(identity, settings.aws),
            GoogleIdentity: clouds.fetch_token,
            AzureIdentity: clouds.fetch_token,
            PasswordSource: lambda source, settings: passwords.fetch_token(source, settings.aws.call_timeout_s),
        }
        tokens = _ProtectedTokens(fetchers, LearnedSecrets(bootstrap.scrubber, "tokens", _MASKED_TOKENS), time)
        self.credentials = Credentials(
            tokens=tokens,
            clock=clock,
            settings=bootstrap.settings,
            board=board,
            log=log,
            jitter=_jitter,
            on_token=self._wake_logins,
        )
        dependencies = LoginDependencies(
            credentials=self.credentials,
            docker_login=DockerLogin(
                self.docker_cli,
                observed_probe,
                self.tools,
                lambda: bootstrap.settings.value.docker.login_timeout_s,
                scrub,
            ).log_in,
            check_login=probe.check,
            reconciler=self.reconciler,
            rejections=Rejections(
                self.state_file,
                time,
                scrub=bootstrap.scrubber.scrub_own,
                chain=lambda cloud: chain_inputs(bootstrap.settings.value.of_cloud(cloud), environ),
                retry=lambda: bootstrap.settings.value.retry,
                confirm=lambda registry: observed_probe(registry, None, _TIME_S),
            ),
            docker=self.tools,
            board=board,
            clock=clock,
            time=time,
            log=log,
            settings=bootstrap.settings,
            new_id=lambda: secrets.token_hex(4),
            jitter=_jitter,
        )
        self.logins = Logins(dependencies, board=board, state_file=self.state_file, want_aws=self.tools.want_aws)
        answers = HelperAnswers(board=board, served=served, clock=clock, log=log, refresh=self.logins.refresh)
        bootstrap.credential_route.connect(answers.answer)

    def _on_clock_jump(self) -> None:
        self.credentials.clock_jumped()
        self.logins.wake()

    def _follow(self, plan: Plan) -> None:
        self.logins.follow(plan)
        self.password_files.follow(plan)

    def _wake_logins(self, hostname: str | None = None) -> None:
        self.logins.wake(hostname)

    def _sources(self) -> None:
        bootstrap, environ = self._bootstrap, self._bootstrap.environ
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        self.password_files = PasswordFiles(self.file_watcher, signature, self.logins.source_changed)
        self.planning = Planning(bootstrap.settings, region, self._follow)
        directory = environ.get("CREDENTIALS_DIRECTORY")
        self.secrets = Secrets(
            settings=bootstrap.settings,
            clock=bootstrap.clock,
            board=bootstrap.board,
            log=bootstrap.log.logger,
            protect=bootstrap.scrubber.protect,
            files=secret_files,
            fetch=SecretUrl(self._http).fetch,
            environment=read_environment(environ),
            credentials_directory=Path(directory) if directory else None,
            jitter=_jitter,
            watcher=self.file_watcher,
            on_change=self.planning.take,
        )


class _ProtectedTokens:
    """Fetches tokens, and has the log mask each one before anything can print it. The server's time confirms the clock.

    `fetchers` holds the function for each kind of source.
    """

    def __init__(
        self, fetchers: Mapping[type[TokenSource], "_Fetch"], learned: LearnedSecrets, time: ConfirmedTime
    ) -> None:
        self._fetchers = fetchers
        self._learned = learned
        self._time = time

    async def fetch_token(self, source: TokenSource, settings: Settings) -> Token:
        token = await self._fetchers[type(source)](source, settings)
        self._learned(token.password)
        self._time.observe(token.server_time)
        return token


def _jitter() -> float:
    """A random number from -1 to 1. It spreads load; no secret depends on it."""
    return random.uniform(-1, 1)  # noqa: S311 - not used for security
