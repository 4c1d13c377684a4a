"""Problems with what logins need: tools, settings, the status endpoint, the secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.model.problem import Needs, Problem, Severity

# Only for the annotation: the bootstrap loads this file.
if TYPE_CHECKING:
    from agent.model.rejected_program import RejectedProgram

# Tools


class DockerCliMissing(Problem):
    code = "docker_cli_missing"
    hint = (
        "install the docker CLI (`sudo apt install docker.io` on Debian and Ubuntu); the agent notices "
        "within a minute and logs in"
    )


def no_docker(rejected: RejectedProgram | None = None) -> DockerCliMissing:
    """Report that there is no docker, or that the one on PATH is `rejected`."""
    reason, hint = (rejected.reason, rejected.hint) if rejected else ("there is no docker on PATH", None)
    return DockerCliMissing("docker", f"{reason}, so the agent cannot log in to any registry", hint=hint)


class DockerCliFailed(Problem):
    code = "docker_cli_failed"
    hint = "run `docker --version` in a terminal; if it fails there too, reinstall the docker CLI"


class NotDockersCli(DockerCliFailed):
    """The program called docker is not Docker's own CLI, as far as the agent can tell. No login runs through it.

    For example, nerdctl. It could overwrite a person's login. podman is known, and counts as docker.
    """

    @classmethod
    def instead(cls, program: object, found: str) -> NotDockersCli:
        """Report that `program` is really `found`, such as "nerdctl 1.7.6"."""
        return cls(
            "docker",
            f"{program} is {found}, not Docker's own CLI, so the agent cannot log in to any registry",
            hint="install Docker's own CLI (`sudo apt install docker.io` on Debian and Ubuntu) and make it the first "
            "docker on PATH; the agent notices within a minute and logs in",
        )


class AwsCliMissing(Problem):
    code = "aws_cli_missing"
    # The agent itself does not need this program.
    severity = Severity.NOTICE
    hint = "install the aws CLI only if you want to run aws commands yourself; docker pull works without it"


def no_aws_cli() -> AwsCliMissing:
    """Report that there is no aws CLI, although a login asks AWS for a token."""
    return AwsCliMissing("aws", "there is no aws on PATH; the agent logs in to ECR without it")


class EngineUnreachable(Problem):
    code = "engine_unreachable"
    # Logins need no engine, and many environments start theirs only when somebody wants to build.
    severity = Severity.NOTICE
    hint = "start Docker (`sudo systemctl start docker`) or set DOCKER_HOST before you pull; logins work without it"


class EngineForbidden(Problem):
    code = "engine_forbidden"
    hint = "ask the administrator of this machine for access to the socket of Docker; logins work without it"


class EngineUnresponsive(Problem):
    code = "engine_unresponsive"
    hint = "restart Docker (`sudo systemctl restart docker`); logins work without it, but pulls do not"


# Settings and the status endpoint


class SettingsInvalid(Problem):
    code = "settings_invalid"
    severity = Severity.ERROR
    hint = (
        "fix it at the location shown in parentheses, then reload the agent (SIGHUP); run `registry-agent "
        "check-config` to test it"
    )


def unusable_status_token(fault: str) -> SettingsInvalid:
    """Report that the agent cannot read the token file in the settings; `fault` is the reason."""
    hint = "write the token into the file, and make it readable for the agent's user; TCP is refused until then"
    return SettingsInvalid("status.token_file", f"status.token_file: {fault}", hint=hint)


class StatusListenFailed(Problem):
    code = "status_listen_failed"
    hint = "find the program on that port (`ss -ltnp`), or choose another in status.listen; the Unix socket still works"


# The state directory


class StateUnusable(Problem):
    code = "state_unusable"
    hint = "run `registry-agent renew` to also replace logins that the agent no longer knows; the damaged file is kept"


def state_unreadable(subject: str, fault: str) -> StateUnusable:
    """Report that the directory itself cannot be used, so that no file in it is known to be damaged."""
    hint = (
        "let the agent's user read and write this directory, or set STATE_DIRECTORY to another one; "
        "then restart the agent"
    )
    return StateUnusable(subject, fault, hint=hint)


def state_unsaved(subject: str, fault: str) -> StateUnusable:
    """Report that the state is only in memory. Logins work all the same, so this is only a notice."""
    hint = "let the agent's user write to this directory, or set STATE_DIRECTORY to another one; logins work without it"
    return StateUnusable(subject, fault, hint=hint, severity=Severity.NOTICE)


# Secrets


class SecretInvalid(Problem):
    code = "secret_invalid"
    hint = "fix the secret at the location shown in the message; the agent still uses the other secrets"


class SecretShadowed(Problem):
    code = "secret_shadowed"
    severity = Severity.NOTICE
    needs = Needs.NOBODY
    hint = "no action needed if this is intended; otherwise, remove or disable the secret that is used"


class SecretHostname(Problem):
    code = "secret_hostname"
    severity = Severity.NOTICE
    needs = Needs.NOBODY
    hint = "no action needed; to log in only once, remove the port from the secret's hostname"


class SecretsUnavailable(Problem):
    code = "secrets_unavailable"
    needs = Needs.ADMIN
    hint = "ask your platform team to fix this source; until then, the agent uses the secrets that it got last"


class NativeUnsupported(Problem):
    code = "native_unsupported"
    hint = (
        "put this registry's user name and password into the secret: runner-native works only with registries of AWS, "
        "Google and Azure"
    )


class TokenNotRenewable(Problem):
    code = "token_not_renewable"
    severity = Severity.NOTICE
    hint = (
        "put a new token into the secret every 12 hours, or use runner-native, a role or AWS keys, which the agent "
        "renews"
    )
