"""The settings: every key of the file, its default, and why it is so. Times are in seconds."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    # Empty only here: the loader takes the platform's own name for the environment, else the host's.
    id: str = ""


@dataclass(frozen=True, slots=True)
class SecretsSettings:
    # Where container platforms mount secrets; not there is an empty source, so the default costs nothing.
    directories: tuple[Path, ...] = (Path("/run/secrets/registries"),)
    # Codespaces and Gitpod give secrets this way, and nobody there edits a settings file.
    environment: bool = True
    # Most environments have no secret service to ask.
    url: str | None = None
    token_file: Path | None = None
    # A changed secret is in use after a minute; ten thousand environments make 170 cheap requests a second.
    poll_interval_s: float = 60.0
    # A login that still works is not taken from somebody in the middle of a build.
    removed: str = "keep"
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerSettings:
    # The loader takes $DOCKER_CONFIG, else ~/.docker: where the docker CLI itself looks.
    config_dir: Path = field(default_factory=Path)
    # The CLI's own limit on a silent registry is 15 s; twice that leaves room for a slow credential helper.
    login_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class AwsSettings:
    # None leaves each to the default AWS chain and to what host names and secrets tell.
    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    identity_token_file: Path | None = None
    identity_token_command: tuple[str, ...] = ()
    # AWS answers in well under a second; a metadata service out of reach never does.
    call_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class RenewalSettings:
    # Half of a 12-hour token leaves six hours to mend a failing renewal; SPIRE and the ECR helper do the same.
    fraction: float = 0.5
    # A token that is born expired (stand-ins, a wrong clock) is fetched at most twelve times a minute.
    min_interval_s: float = 5.0
    # Long enough for a person to act, short enough to be woken only when it matters.
    urgent_window_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class RetrySettings:
    # A boot-time hiccup is over in a second or two.
    first_wait_s: float = 1.0
    # After an outage the fleet is back within five minutes, spread evenly by full jitter.
    max_wait_s: float = 300.0
    # Docker Hub locks an account after repeated wrong passwords: a "no" is not asked again soon.
    rejected_wait_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class StatusSettings:
    # Loopback only: the page works out of the box, and nobody else on the network sees it.
    listen: str = "127.0.0.1:8719"
    token_file: Path | None = None
    # Loopback's own names are always allowed; any other could be a rebound DNS name.
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportSettings:
    # Nothing leaves the environment unless somebody asks for it.
    url: str | None = None
    token_file: Path | None = None
    # A dashboard takes an environment for lost after two or three silent minutes.
    interval_s: float = 60.0


@dataclass(frozen=True, slots=True)
class LogSettings:
    # One line an outcome; debug adds each step.
    level: str = "info"
    # A terminal gets text, a collector gets JSON.
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
