"""What the checks of all registries share: the plan, and the agent's own components, except those that write."""

from asyncio import Task
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from agent.doctor.agent_status import AgentStatus
from agent.doctor.environment import Tools
from agent.edge import paths
from agent.edge.clock import Clock
from agent.edge.clouds import Clouds
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_cli import DockerCli
from agent.edge.docker_config import DockerConfigFile
from agent.edge.docker_engine import DockerEngine
from agent.edge.http import HttpClient
from agent.edge.password_sources import PasswordSources
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.registry_client import RegistryClient
from agent.edge.state_file import StateFile
from agent.edge.tool_probes import ToolProbes
from agent.model.docker_config import Document
from agent.model.plan import Plan
from agent.observe.redaction import LearnedSecrets, Scrubber, secrets_of_environment, secrets_of_settings
from agent.services.confirmed_time import ConfirmedTime
from agent.services.login_hashes import LoginHashes
from agent.services.overrides import Overrides
from agent.services.rejections import Rejections, chain_inputs
from agent.settings_loader import Loaded

_HELPER_S: Final = 6.0
_OWN_HELPER_S: Final = 16.0
"""The agent's own helper may wait 15 s for a login that is about to come."""
_TIME_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Pending:
    """Results of shared checks that the checks of each registry wait for. None if there is no agent or no file."""

    tools: Task[Tools]
    status: Task[AgentStatus | None]
    document: Task[Document | None]


class Context:
    """What all checks use.

    Args:
        loaded: the settings.
        environ: the environment of the process.
        host: the registry or image to check; None for every registry in the plan.
        runtime: the runtime directory, in which logins run.
        sockets: where an agent may listen.
        try_refused: `--try`, send a password even if it was rejected before.
    """

    def __init__(
        self,
        loaded: Loaded,
        environ: Mapping[str, str],
        *,
        host: str | None,
        runtime: Path,
        sockets: Sequence[Path],
        try_refused: bool,
    ) -> None:
        settings = loaded.settings
        self.loaded: Final = loaded
        self.settings: Final = settings
        self.environ: Final = environ
        self.host: Final = host
        self.sockets: Final = sockets
        self.try_refused: Final = try_refused
        # Replaced once the secrets are read. Only then do the checks of registries start.
        self.plan = Plan()
        self.user: Final = paths.user_name()
        self.scrubber: Final = Scrubber()
        self.scrubber.protect(secrets_of_environment(environ), owner="environment")
        self.scrubber.protect(secrets_of_settings(settings), owner="settings")
        self.learned: Final = LearnedSecrets(self.scrubber)
        self.http: Final = HttpClient()
        self.requests: Final = RegistryClient(self.http, _now, scrub=self.scrubber.scrub)
        shared: dict[str, Any] = {
            "environ": environ,
            "now": _now,
            "learned": self.learned,
            "scrub": self.scrubber.scrub,
        }
        # The doctor comes when something lasts.
        no_time = timedelta()
        engine = DockerEngine(environ, settings.docker.config_dir)
        self.clouds: Final = Clouds(http=self.http, ca_files=self.requests.ca_files, metadata_start=no_time, **shared)
        self.passwords: Final = PasswordSources(environ=environ, now=_now)
        self.cli: Final = DockerCli(environ, runtime, engine, scrub=self.scrubber.scrub)
        self.probes: Final = ToolProbes(environ, self.cli, engine)
        self.config: Final = DockerConfigFile(settings.docker.config_dir, cli_version=lambda: self.cli.installed)
        helpers = partial(
            CredentialHelpers, environ, docker_config=settings.docker.config_dir, scrub=self.scrubber.scrub
        )
        self.helpers: Final = helpers(deadline_s=_HELPER_S)
        self.own_helper: Final = helpers(deadline_s=_OWN_HELPER_S)
        self.podman: Final = PodmanAuthFiles(environ, paths.home(environ))
        self.overrides: Final = Overrides(environ.get("DOCKER_AUTH_CONFIG"), lambda: self.cli.installed)
        # Read within the checks, because the file system may hang.
        self.state_file: Final = StateFile(paths.state_directory(environ), settings.docker.config_dir)
        self.hashes: Final = LoginHashes(self.state_file, has_ended=lambda _: False)
        time = ConfirmedTime(Clock())
        probe = time.observing(self.requests.probe)
        self.rejections: Final = Rejections(
            self.state_file,
            time,
            scrub=self.scrubber.scrub,
            chain=lambda cloud: chain_inputs(settings.of_cloud(cloud), environ),
            retry=lambda: settings.retry,
            confirm=lambda registry: probe(registry, None, _TIME_S),
        )


def _now() -> datetime:
    return datetime.now(UTC)
