"""Builds and connects all components behind the bootstrap. The only file that imports all of them."""

import random
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agent.blocking import BlockingCalls
from agent.bootstrap import Bootstrap
from agent.edge import paths, secret_files
from agent.edge.clouds import Clouds
from agent.edge.config_lock import ConfigLock
from agent.edge.credential_helper import CredentialHelpers, is_installed
from agent.edge.docker_cli import DockerCli
from agent.edge.docker_config import DockerConfigFile
from agent.edge.docker_engine import DockerEngine
from agent.edge.file_watcher import FileWatcher
from agent.edge.http import HttpClient
from agent.edge.memory import collect
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.registry_client import RegistryClient
from agent.edge.report_target import ReportTarget
from agent.edge.sandbox import Sandbox
from agent.edge.secret_url import SecretUrl
from agent.edge.source_files import files_in_variables, files_of, signature_of
from agent.edge.state_file import StateFile
from agent.edge.tool_probes import ToolProbes
from agent.model.credential import Token, TokenSource
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
from agent.services.expiry_proof import ExpiryProof
from agent.services.helper_answers import HelperAnswers
from agent.services.helper_choice import HelperChoice
from agent.services.login_dependencies import LoginDependencies
from agent.services.logins import Logins
from agent.services.overrides import Overrides
from agent.services.periodic import Periodic
from agent.services.planning import Planning
from agent.services.ports import Service
from agent.services.reconciler import ConfigReconciler
from agent.services.rejections import Rejections, chain_inputs
from agent.services.reports import Reports
from agent.services.secrets import Secrets
from agent.services.served_logins import ServedLogins
from agent.services.source_files import SourceFiles
from agent.services.state_watch import StateWatch
from agent.services.tools import ToolWatch
from agent.services.waiting import BEAT_S
from agent.services.watchdog import Watchdog
from agent.settings import Settings

if TYPE_CHECKING:
    from agent.edge.password_sources import PasswordSources

_LOADING: Final = BlockingCalls("password-sources")
# An idle agent allocates too little for the interpreter to collect garbage by itself.
_GC_S = 600.0


class Components:
    """All components. Building them does no I/O."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap: Final = bootstrap
        self._http: Final = HttpClient()
        self._time: Final = ConfirmedTime(bootstrap.clock)
        self._registries: Final = RegistryClient(self._http, bootstrap.clock.now, scrub=bootstrap.scrubber.scrub)
        self._learned: Final = LearnedSecrets(bootstrap.scrubber)
        self._served: Final = ServedLogins()
        self.file_watcher: Final = FileWatcher()
        self._build_docker()
        self._build_reconciler()
        self._build_credentials()
        self._build_logins()
        self._build_secrets()
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
            self.source_files,
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

    def _build_docker(self) -> None:
        """Build what knows the installed docker and its configuration."""
        bootstrap, environ = self._bootstrap, self._bootstrap.environ
        config_dir = bootstrap.settings.value.docker.config_dir
        self.lock = ConfigLock(config_dir, bootstrap.server.address)
        self.state_file = StateFile(paths.state_directory(environ), config_dir)
        self.state_watch = StateWatch(self.state_file, bootstrap.board)
        engine = DockerEngine(environ, config_dir)
        self.docker_cli = DockerCli(environ, bootstrap.runtime, engine, scrub=bootstrap.scrubber.scrub)
        self.tools = ToolWatch(
            ToolProbes(environ, self.docker_cli, engine),
            bootstrap.clock,
            bootstrap.board,
            bootstrap.log.logger,
            self.file_watcher,
            on_docker=self._wake_logins,
        )
        self.docker_config = DockerConfigFile(
            config_dir, bootstrap.systemd.unit, cli_version=lambda: self.docker_cli.installed
        )

    def _build_reconciler(self) -> None:
        bootstrap, environ, time = self._bootstrap, self._bootstrap.environ, self._time
        store = CredentialStore(
            self.docker_config,
            CredentialHelpers(
                environ, unit=bootstrap.systemd.unit, learned=self._learned.of, scrub=bootstrap.scrubber.scrub
            ),
            self.state_file,
            has_ended=lambda end: time.now().proves(end),
            choice=HelperChoice(
                bootstrap.settings,
                lambda: is_installed(environ),
                lambda: bootstrap.server.is_listening,
                bootstrap.board,
            ),
            served=self._served,
        )
        self.reconciler = ConfigReconciler(
            config=self.docker_config,
            store=store,
            podman=PodmanAuthFiles(environ, paths.home(environ)),
            board=bootstrap.board,
            clock=bootstrap.clock,
            time=time,
            log=bootstrap.log.logger,
            watcher=self.file_watcher,
            check_login=self._registries.check,
            on_news=self._wake_logins,
            overrides=Overrides(environ.get("DOCKER_AUTH_CONFIG"), lambda: self.docker_cli.installed),
        )

    def _build_credentials(self) -> None:
        bootstrap, environ, clock = self._bootstrap, self._bootstrap.environ, self._bootstrap.clock
        clouds = Clouds(
            http=self._http,
            environ=environ,
            now=clock.now,
            learned=self._learned,
            scrub=bootstrap.scrubber.scrub,
            ca_files=self._registries.ca_files,
        )

        def load_passwords() -> "PasswordSources":
            from agent.edge.password_sources import PasswordSources  # noqa: PLC0415 - few environments need it

            return PasswordSources(environ=environ, now=clock.now, unit=bootstrap.systemd.unit)

        async def fetch(source: TokenSource, settings: Settings) -> Token:
            with self._learned.asking(source):
                if isinstance(source, PasswordSource):
                    passwords = await _LOADING.call("password sources", load_passwords, timeout=None)
                    token = await passwords.fetch_token(source, settings.aws.call_timeout_s)
                else:
                    token = await clouds.fetch_token(source, settings)
                self._learned(token.password)  # before anything can print it
            self._time.observe(token.server_time)
            return token

        self.credentials = Credentials(
            fetch=fetch,
            clock=clock,
            settings=bootstrap.settings,
            board=bootstrap.board,
            log=bootstrap.log.logger,
            jitter=_jitter,
            on_token=self._wake_logins,
        )

    def _build_logins(self) -> None:
        bootstrap, settings = self._bootstrap, self._bootstrap.settings
        probe, confirm = self._time.observing(self._registries.probe), self._time.asking(self._registries.probe)
        docker_login = DockerLogin(
            self.docker_cli, probe, self.tools, lambda: settings.value.docker.login_timeout_s, bootstrap.scrubber.scrub
        )
        rejections = Rejections(
            self.state_file,
            self._time,
            scrub=bootstrap.scrubber.scrub_own,
            chain=lambda cloud: chain_inputs(settings.value.of_cloud(cloud), bootstrap.environ),
            retry=lambda: settings.value.retry,
            confirm=confirm,
        )
        dependencies = LoginDependencies(
            credentials=self.credentials,
            docker_login=docker_login.log_in,
            check_login=self._registries.check,
            reconciler=self.reconciler,
            served=self._served,
            rejections=rejections,
            docker=self.tools,
            board=bootstrap.board,
            clock=bootstrap.clock,
            time=self._time,
            expiry=ExpiryProof(self._time, confirm, lambda: settings.value.retry.max_wait_s),
            log=bootstrap.log.logger,
            settings=settings,
            new_id=lambda: secrets.token_hex(4),
            jitter=_jitter,
        )
        self.logins = Logins(dependencies, state_file=self.state_file, want_aws=self.tools.want_aws)
        answers = HelperAnswers(
            board=bootstrap.board,
            served=self._served,
            config=self.docker_config,
            time=self._time,
            log=bootstrap.log.logger,
            refresh=self.logins.refresh,
        )
        bootstrap.credential_route.connect(answers.answer)

    def _build_secrets(self) -> None:
        bootstrap, environ = self._bootstrap, self._bootstrap.environ
        self.source_files = SourceFiles(
            self.file_watcher, lambda each: files_of(each, environ), signature_of, self.logins.source_changed
        )
        self.planning = Planning(bootstrap.settings, environ, self._follow)
        self.secrets = Secrets(
            settings=bootstrap.settings,
            clock=bootstrap.clock,
            board=bootstrap.board,
            log=bootstrap.log.logger,
            protect=bootstrap.scrubber.protect,
            files=secret_files,
            fetch=SecretUrl(self._http).fetch,
            environment=read_environment(environ),
            credentials_directory=paths.credentials_directory(environ),
            identity_files=files_in_variables(environ),
            jitter=_jitter,
            watcher=self.file_watcher,
            on_change=self.planning.use,
        )

    def _on_clock_jump(self) -> None:
        self.credentials.clock_jumped()
        self.logins.wake()

    def _follow(self, plan: Plan) -> None:
        self._learned.retain({*plan.token_sources, *(login.registry.docker_key for login in plan.logins)})
        self.logins.follow(plan)
        self.source_files.follow(plan)

    def _wake_logins(self, hostname: str | None = None) -> None:
        self.logins.wake(hostname)


def _jitter() -> float:
    """A random number from -1 to 1. It spreads load; no secret depends on it."""
    return random.uniform(-1, 1)  # noqa: S311 - not used for security
