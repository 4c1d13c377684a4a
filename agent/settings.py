"""The settings: every key of the file, its default, and the reason for the default. Times are in seconds."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    # The loader replaces this with the platform's name for the environment, or else the host name.
    id: str = ""


@dataclass(frozen=True, slots=True)
class SecretsSettings:
    # Container platforms mount secrets here. A missing directory counts as empty, so the default is harmless.
    directories: tuple[Path, ...] = (Path("/run/secrets/registries"),)
    # Codespaces and Gitpod provide secrets this way, and people there rarely edit a settings file.
    environment: bool = True
    # Most environments have no secret service.
    url: str | None = None
    token_file: Path | None = None
    # A changed secret is used within a minute. Ten thousand environments send 170 cheap requests per second.
    poll_interval_s: float = 60.0
    # Removing a login that still works could break a running build.
    removed: str = "keep"
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerSettings:
    # The loader uses $DOCKER_CONFIG, or else ~/.docker, as the docker CLI does.
    config_dir: Path = field(default_factory=Path)
    # The CLI gives up on a silent registry after 15 s. Twice that leaves time for a slow credential helper.
    login_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class AwsSettings:
    # None: the value comes from the secret, the host name or the default AWS credential chain.
    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    identity_token_file: Path | None = None
    identity_token_command: tuple[str, ...] = ()
    # AWS answers in well under a second. A metadata service that cannot be reached never answers.
    call_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class RenewalSettings:
    # Half of a 12-hour token leaves six hours to fix a failing renewal. SPIRE and the ECR helper do the same.
    fraction: float = 0.5
    # A token that is expired when issued (emulators, a wrong clock) is fetched at most twelve times per minute.
    min_interval_s: float = 5.0
    # Long enough for a person to act, and short enough to wake people only when it matters.
    urgent_window_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class RetrySettings:
    # Short failures during boot are over in a second or two.
    first_wait_s: float = 1.0
    # After an outage, the fleet is back within five minutes. Full jitter spreads the attempts evenly.
    max_wait_s: float = 300.0
    # Docker Hub locks an account after repeated wrong passwords, so a rejected login is not tried again soon.
    rejected_wait_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class StatusSettings:
    # Loopback only: the page works without configuration, and is not visible on the network.
    listen: str = "127.0.0.1:8719"
    token_file: Path | None = None
    # The names of loopback are always allowed. Any other name could be a DNS rebinding attack.
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportSettings:
    # Nothing leaves the environment unless it is configured.
    url: str | None = None
    token_file: Path | None = None
    # Dashboards usually treat an environment as lost after two or three minutes without a report.
    interval_s: float = 60.0


@dataclass(frozen=True, slots=True)
class LogSettings:
    # One line per outcome. Debug adds every step.
    level: str = "info"
    # Text for a terminal, JSON for a log collector.
    format: str = "auto"


@dataclass(frozen=True, slots=True)
class Settings:
    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    secrets: SecretsSettings = field(default_factory=SecretsSettings)
    docker: DockerSettings = field(default_factory=DockerSettings)
    aws: AwsSettings = field(default_factory=AwsSettings)
    renewal: RenewalSettings = field(default_factory=RenewalSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    status: StatusSettings = field(default_factory=StatusSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    log: LogSettings = field(default_factory=LogSettings)
