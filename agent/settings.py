"""Every setting: its type, its limits, its default, and the reason for the default. Times are in seconds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from agent.model import setting_rules as rule

_UpToAnHour = Annotated[float, rule.Limit(3600)]
_UpToAWeek = Annotated[float, rule.Limit(7 * 24 * 3600)]
_UpToAWeekOrNever = Annotated[float, rule.Limit(7 * 24 * 3600, never=True)]


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
    url: Annotated[str | None, rule.SECRET_URL] = None
    token_file: Path | None = None
    # A changed secret is used within a minute. Ten thousand environments send 170 cheap requests per second.
    poll_interval_s: _UpToAWeek = 60.0
    # Removing a login that still works could break a running build.
    removed: Annotated[str, rule.one_of("keep", "logout")] = "keep"
    exclude: Annotated[tuple[str, ...], rule.REGISTRY] = ()
    # The server at `url` could run any program as the agent's user.
    allow_commands: bool = False


@dataclass(frozen=True, slots=True)
class DockerSettings:
    # The loader uses $DOCKER_CONFIG, or else ~/.docker, as the docker CLI does.
    config_dir: Path = field(default_factory=Path)
    # The CLI gives up on a silent registry after 15 s. Twice that leaves time for a slow credential helper.
    login_timeout_s: _UpToAnHour = 30.0
    # A login in the file also works in a container that mounts the file, and while no agent runs.
    store: Annotated[str, rule.one_of("file", "helper")] = "file"


@dataclass(frozen=True, slots=True)
class AwsSettings:
    # None: the value comes from the secret, the host name or the default AWS credential chain.
    region: Annotated[str | None, rule.AWS_REGION] = None
    profile: str | None = None
    role_arn: Annotated[str | None, rule.ROLE] = None
    identity_token_file: Path | None = None
    identity_token_command: Annotated[tuple[str, ...], rule.ARGUMENT] = ()
    # AWS answers in well under a second. A metadata service that cannot be reached never answers.
    call_timeout_s: _UpToAnHour = 10.0

    identity_variables: ClassVar = (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    )
    """The variables that also determine the environment's own identity."""

    @property
    def identity_names(self) -> tuple[str, ...]:
        """The settings that name the environment's own identity, apart from its token."""
        return (self.profile or "",)


@dataclass(frozen=True, slots=True)
class GoogleSettings:
    # None: the secret, a credential file or the metadata server decides.
    audience: Annotated[str | None, rule.GOOGLE_AUDIENCE] = None
    service_account: Annotated[str | None, rule.GOOGLE_SERVICE_ACCOUNT] = None
    identity_token_file: Path | None = None
    identity_token_command: Annotated[tuple[str, ...], rule.ARGUMENT] = ()

    identity_variables: ClassVar = ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GCE_METADATA_HOST")

    @property
    def identity_names(self) -> tuple[str, ...]:
        return (self.audience or "", self.service_account or "")


@dataclass(frozen=True, slots=True)
class AzureSettings:
    # None: the secret, a variable or the machine's managed identity decides.
    client_id: Annotated[str | None, rule.AZURE_ID] = None
    tenant_id: Annotated[str | None, rule.AZURE_TENANT] = None
    identity_token_file: Path | None = None
    identity_token_command: Annotated[tuple[str, ...], rule.ARGUMENT] = ()

    identity_variables: ClassVar = (
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_AUTHORITY_HOST",
        "IDENTITY_ENDPOINT",
    )

    @property
    def identity_names(self) -> tuple[str, ...]:
        return (self.client_id or "", self.tenant_id or "")


CloudSettings = AwsSettings | GoogleSettings | AzureSettings


@dataclass(frozen=True, slots=True)
class RenewalSettings:
    # Half of a 12-hour token leaves six hours to fix a failing renewal. SPIRE and the ECR helper do the same.
    fraction: Annotated[float, rule.Limit(1, below=True)] = 0.5
    # A token that is expired when issued (emulators, a wrong clock) is fetched at most twelve times per minute.
    min_interval_s: _UpToAnHour = 5.0
    # Long enough for a person to act, and short enough to wake people only when it matters.
    urgent_window_s: _UpToAWeek = 3600.0
    # A dead password is noticed within a working day, and ten thousand environments cause one request per second.
    check_interval_s: _UpToAWeekOrNever = 21600.0


@dataclass(frozen=True, slots=True)
class RetrySettings:
    # Short failures during boot are over in a second or two.
    first_wait_s: _UpToAnHour = 1.0
    # After an outage, the fleet is back within five minutes. Full jitter spreads the attempts evenly.
    max_wait_s: _UpToAWeek = 300.0
    # Docker Hub locks an account after repeated wrong passwords, so a rejected login is not tried again soon.
    rejected_wait_s: _UpToAWeek = 1800.0


@dataclass(frozen=True, slots=True)
class StatusSettings:
    # Loopback only: the page works without configuration, and is not visible on the network.
    listen: Annotated[str, rule.LISTEN] = "127.0.0.1:8719"
    token_file: Path | None = None
    # The names of loopback are always allowed. Any other name could be a DNS rebinding attack.
    allow_hosts: Annotated[tuple[str, ...], rule.HOST] = ()
    allow_origins: Annotated[tuple[str, ...], rule.ORIGIN] = ()


@dataclass(frozen=True, slots=True)
class ReportSettings:
    # Nothing leaves the environment unless it is configured.
    url: Annotated[str | None, rule.URL] = None
    token_file: Path | None = None
    # Dashboards usually treat an environment as lost after two or three minutes without a report.
    interval_s: _UpToAWeek = 60.0


@dataclass(frozen=True, slots=True)
class LogSettings:
    # One line per outcome. Debug adds every step.
    level: Annotated[str, rule.one_of("debug", "info", "warning", "error")] = "info"
    # Text for a terminal, JSON for a log collector.
    format: Annotated[str, rule.one_of("json", "console", "auto")] = "auto"


@dataclass(frozen=True, slots=True)
class Settings:
    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    secrets: SecretsSettings = field(default_factory=SecretsSettings)
    docker: DockerSettings = field(default_factory=DockerSettings)
    aws: AwsSettings = field(default_factory=AwsSettings)
    google: GoogleSettings = field(default_factory=GoogleSettings)
    azure: AzureSettings = field(default_factory=AzureSettings)
    renewal: RenewalSettings = field(default_factory=RenewalSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    status: StatusSettings = field(default_factory=StatusSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    log: LogSettings = field(default_factory=LogSettings)

    def of_cloud(self, code_prefix: str) -> CloudSettings:
        """Return the settings of a cloud, by the prefix of its warning codes."""
        clouds: dict[str, CloudSettings] = {"aws_": self.aws, "google_": self.google, "azure_": self.azure}
        return clouds[code_prefix]

    @property
    def for_tokens(self) -> tuple[object, ...]:
        """The settings that decide which token a source gives. If one changes, all tokens are fetched again."""
        return (self.aws, self.google, self.azure)

    @property
    def token_files(self) -> tuple[Path, ...]:
        """Every file with a token that the settings name."""
        bearers, clouds = (self.secrets, self.status, self.report), (self.aws, self.google, self.azure)
        files = (*(each.token_file for each in bearers), *(each.identity_token_file for each in clouds))
        return tuple(path for path in files if path is not None)
