"""What is wrong with what logins need: tools, settings, the status endpoint, the secrets."""

from agent.model.problem import Needs, Problem, Severity

# Tools


class DockerCliMissing(Problem):
    code = "docker_cli_missing"
    hint = (
        "install the docker CLI (`sudo apt install docker.io` on Debian and Ubuntu); the agent notices "
        "within a minute and logs in"
    )


def no_docker() -> DockerCliMissing:
    return DockerCliMissing("docker", "there is no docker on PATH, so no registry can log in")


class DockerCliFailed(Problem):
    code = "docker_cli_failed"
    hint = "run `docker --version` in a terminal; if it fails there too, reinstall the docker CLI"


class NotDockersCli(DockerCliFailed):
    """The program called docker did not prove to be Docker's own CLI. No login runs through it.

    podman, for one, ignores `--config` and would write the password over a person's login in its own `auth.json`.
    """

    @classmethod
    def instead(cls, program: object, found: str) -> "NotDockersCli":
        """`program` is `found`, such as "podman 4.3.1"."""
        return cls(
            "docker",
            f"{program} is {found}, not Docker's own CLI, so no registry can log in",
            hint="install Docker's own CLI (`sudo apt install docker.io` on Debian and Ubuntu) and make it the first "
            "docker on PATH; the agent notices within a minute and logs in",
        )


class AwsCliMissing(Problem):
    code = "aws_cli_missing"
    severity = Severity.NOTICE
    hint = "nothing to do for docker pull; install the aws CLI only if you want to run aws commands yourself"


class EngineUnreachable(Problem):
    code = "engine_unreachable"
    severity = Severity.NOTICE
    hint = "logins work without it; before you pull, start Docker (`sudo systemctl start docker`) or set DOCKER_HOST"


class EngineUnresponsive(Problem):
    code = "engine_unresponsive"
    hint = "restart Docker (`sudo systemctl restart docker`); logins go on without it, pulls do not"


# Settings and the status endpoint


class SettingsInvalid(Problem):
    code = "settings_invalid"
    severity = Severity.ERROR
    hint = (
        "correct it in the place that stands in brackets, then reload the agent (SIGHUP); `registry-agent "
        "check-config` tests it"
    )


def unusable_status_token(fault: str) -> SettingsInvalid:
    """The settings name a token file, and `fault` keeps the token from being read."""
    hint = "write the token into the file, readable for the agent's user; TCP refuses requests until then"
    return SettingsInvalid("status.token_file", f"status.token_file: {fault}", hint=hint)


class StatusListenFailed(Problem):
    code = "status_listen_failed"
    hint = "see who has the port (`ss -ltnp`), or choose another with status.listen; the Unix socket goes on"


# Secrets


class SecretInvalid(Problem):
    code = "secret_invalid"
    hint = "correct the secret in the place that the message names; the others are used meanwhile"


class SecretShadowed(Problem):
    code = "secret_shadowed"
    severity = Severity.NOTICE
    needs = Needs.NOBODY
    hint = "nothing to do if the right one is used; otherwise remove or disable the one that is"


class SecretsUnavailable(Problem):
    code = "secrets_unavailable"
    needs = Needs.ADMIN
    hint = "the secrets that it gave last stay in use; whoever runs the platform must mend this source"


class NativeUnsupported(Problem):
    code = "native_unsupported"
    hint = "put this registry's user name and password into the secret: only AWS ECR takes runner-native"


class TokenNotRenewable(Problem):
    code = "token_not_renewable"
    severity = Severity.NOTICE
    hint = "put a new token into the secret every 12 hours, or use runner-native, a role or AWS keys, which are renewed"
