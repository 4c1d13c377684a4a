"""Everything that can go wrong, one class per warning code."""

from agent.model.problem import Needs, Pace, Problem, Severity


def codes() -> dict[str, type[Problem]]:
    """Every warning code and its class."""
    return {cls.code: cls for cls in Problem.__subclasses__()}


# Tools


class DockerCliMissing(Problem):
    code = "docker_cli_missing"
    hint = "install the docker CLI (Debian: docker-cli or docker.io); the agent notices within a minute and logs in"


class DockerCliFailed(Problem):
    code = "docker_cli_failed"
    hint = "run `docker --version` in a terminal; reinstall the docker CLI if it fails there too"


class AwsCliMissing(Problem):
    code = "aws_cli_missing"
    severity = Severity.NOTICE
    hint = "nothing for docker pull; install the aws CLI if you want to run aws commands yourself"


class EngineUnreachable(Problem):
    code = "engine_unreachable"
    severity = Severity.NOTICE
    hint = "logins work without an engine; start Docker (or set DOCKER_HOST) before you pull"


class EngineUnresponsive(Problem):
    code = "engine_unresponsive"
    hint = "restart the Docker engine; logins go on without it"


# Settings and the status endpoint


class SettingsInvalid(Problem):
    code = "settings_invalid"
    severity = Severity.ERROR
    hint = "correct the setting and send SIGHUP; `registry-agent check-config` prints every fault"


class StatusListenFailed(Problem):
    code = "status_listen_failed"
    hint = "free the port, or choose another with status.listen; the Unix socket goes on"


# Secrets


class SecretInvalid(Problem):
    code = "secret_invalid"
    hint = "correct the secret where it is kept; the others go on"


class SecretShadowed(Problem):
    code = "secret_shadowed"
    severity = Severity.NOTICE
    needs = Needs.NOBODY
    hint = "remove one of the two secrets if the other one was meant"


class SecretsUnavailable(Problem):
    code = "secrets_unavailable"
    needs = Needs.ADMIN
    hint = "the secrets that it gave last are kept in use; check the source"


class NativeUnsupported(Problem):
    code = "native_unsupported"
    hint = "runner-native works on AWS ECR only; give this registry a user name and a password"


class TokenNotRenewable(Problem):
    code = "token_not_renewable"
    severity = Severity.NOTICE
    hint = "the token ends within 12 hours; use runner-native, a role or AWS keys to have it renewed"


# What the registry said


class LoginRejected(Problem):
    code = "login_rejected"
    severity = Severity.ERROR
    pace = Pace.REJECTED
    hint = "update the secret's user name or password; an access token may have expired or lack the right to read"


class LoginForbidden(Problem):
    code = "login_forbidden"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    pace = Pace.REJECTED
    hint = "the registry knows the user but does not let it in; ask its administrator for the right to pull"


class EcrTokenExpired(LoginForbidden):
    """ECR's 403 for a token past its time, which a new token mends at once."""


class RegistryRefusedRequest(Problem):
    code = "registry_refused_request"
    severity = Severity.ERROR
    pace = Pace.REJECTED
    hint = "check the host name; on ECR this is most often a token of another region"


class RegistryRateLimited(Problem):
    code = "registry_rate_limited"
    needs = Needs.NOBODY
    hint = "the agent waits as long as the registry asked and tries again"


class RegistryDns(Problem):
    code = "registry_dns"
    hint = "check the host name for a typing error, then the environment's DNS"


class RegistryUnreachable(Problem):
    code = "registry_unreachable"
    needs = Needs.ADMIN
    hint = "check that the registry is up and that no firewall or proxy is in the way"


class RegistryTls(Problem):
    code = "registry_tls"
    needs = Needs.ADMIN
    hint = "if the registry has a private CA, put its certificate in /etc/docker/certs.d/HOST/ca.crt or SSL_CERT_FILE"


class RegistryTimeout(Problem):
    code = "registry_timeout"
    needs = Needs.NOBODY
    hint = "the agent tries again; if it lasts, check the network, the proxy and the registry's health"


class RegistryError(Problem):
    code = "registry_error"
    needs = Needs.NOBODY
    hint = "the agent tries again; if it lasts, ask whoever runs the registry"


# What AWS said


class AwsCredentialsMissing(Problem):
    code = "aws_credentials_missing"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "give the environment an instance role; inside a container on the VM the metadata service's hop limit "
        "must be 2 or more (1 makes the role unreachable)"
    )


class AwsAccessDenied(Problem):
    code = "aws_access_denied"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    pace = Pace.REJECTED
    hint = "let this identity do the named action in its IAM policy (and the role's trust policy, for AssumeRole)"


class AwsIdentityRejected(Problem):
    code = "aws_identity_rejected"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    pace = Pace.REJECTED
    hint = "compare the role's trust policy with the token's issuer, audience and subject"


class AwsIdentityUnavailable(Problem):
    code = "aws_identity_unavailable"
    needs = Needs.ADMIN
    hint = "check aws.identity_token_file or aws.identity_token_command"


class AwsThrottled(Problem):
    code = "aws_throttled"
    needs = Needs.NOBODY
    hint = "the agent tries again; many environments of this account ask at the same time"


class AwsUnreachable(Problem):
    code = "aws_unreachable"
    needs = Needs.ADMIN
    hint = "check the route to AWS: proxy, firewall, or the VPC endpoint for ecr.api"


class AwsError(Problem):
    code = "aws_error"
    needs = Needs.NOBODY
    hint = "the agent tries again; if it lasts, look at the AWS health dashboard"


class ClockSkew(Problem):
    code = "clock_skew"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = "set this machine's clock: start its time synchronisation (timedatectl set-ntp true)"


# The life of a login


class RenewalFailing(Problem):
    code = "renewal_failing"
    needs = Needs.NOBODY
    hint = "pulls still work; the cause stands beside this warning"


class TokenExpired(Problem):
    code = "token_expired"
    severity = Severity.ERROR
    hint = "pulls from this registry fail until a renewal works; the cause stands beside this warning"


# Docker's configuration


class ConfigInvalid(Problem):
    code = "config_invalid"
    severity = Severity.ERROR
    hint = "correct the JSON by hand or move the file away; the agent does not touch it as it is"


class ConfigUnwritable(Problem):
    code = "config_unwritable"
    severity = Severity.ERROR
    hint = "make Docker's configuration directory writable for the agent's user"


class CredentialStoreFailed(Problem):
    code = "credential_store_failed"
    severity = Severity.ERROR
    hint = "mend the credential helper, or take it out of Docker's config.json"


class LoginOverridden(Problem):
    code = "login_overridden"
    hint = "if the injected secret should be used: `registry-agent renew HOST` takes over a person's entry"


class LoginRestored(Problem):
    code = "login_restored"
    severity = Severity.NOTICE
    needs = Needs.NOBODY
    hint = "nothing; to have the agent leave this registry alone, name it in secrets.exclude"


class ReportFailed(Problem):
    code = "report_failed"
    severity = Severity.NOTICE
    needs = Needs.ADMIN
    hint = "check report.url and report.token_file; everything else goes on"


class InternalError(Problem):
    """Beside the interface's own codes: a bug must be told, and must cost one registry at most."""

    code = "internal_error"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = "this is a fault of the agent itself: report it with the event login.crashed from the log"
