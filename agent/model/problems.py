"""Everything that can go wrong, one class per warning code."""

from agent.model.problem import Needs, Pace, Problem, Severity


def codes() -> dict[str, type[Problem]]:
    """Every warning code and its class."""
    return {cls.code: cls for cls in Problem.__subclasses__()}


# Tools


class DockerCliMissing(Problem):
    code = "docker_cli_missing"
    hint = (
        "install the docker CLI (`sudo apt install docker.io` on Debian and Ubuntu); the agent notices "
        "within a minute and logs in"
    )


class DockerCliFailed(Problem):
    code = "docker_cli_failed"
    hint = "run `docker --version` in a terminal; if it fails there too, reinstall the docker CLI"


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
    hint = (
        "ask the registry's administrator to let this account pull; an address list or single sign-on may keep it out"
    )


class EcrTokenExpired(LoginForbidden):
    """ECR's 403 for a token past its time, which a new token mends at once; a ready one only its owner replaces."""

    needs = Needs.USER


class RegistryRefusedRequest(Problem):
    code = "registry_refused_request"
    severity = Severity.ERROR
    pace = Pace.REJECTED
    hint = (
        "check the host name in the secret; on ECR this is most often a token of another region: correct the "
        "secret's region"
    )


class RegistryRateLimited(Problem):
    code = "registry_rate_limited"
    needs = Needs.NOBODY
    hint = "nothing to do: the agent waits as long as the registry asked and tries again"


class RegistryDns(Problem):
    code = "registry_dns"
    hint = (
        "check the host name in the secret for a typing error; if `getent hosts HOST` finds nothing either, "
        "ask the network's administrator"
    )


class RegistryUnreachable(Problem):
    code = "registry_unreachable"
    needs = Needs.ADMIN
    hint = (
        "see whether `curl https://HOST/v2/` connects; if not, ask the network's administrator about "
        "firewall and proxy (HTTPS_PROXY)"
    )


class RegistryTls(Problem):
    code = "registry_tls"
    needs = Needs.ADMIN
    hint = (
        "if the registry has a private CA, get the CA's certificate from its administrator and save it as "
        "/etc/docker/certs.d/HOST/ca.crt"
    )


class RegistryTimeout(Problem):
    code = "registry_timeout"
    needs = Needs.NOBODY
    hint = (
        "nothing to do at first: the agent tries again; if it lasts, see whether `curl https://HOST/v2/` "
        "answers and tell the network's administrator"
    )


class RegistryError(Problem):
    code = "registry_error"
    needs = Needs.NOBODY
    hint = "nothing to do at first: the agent tries again; if it lasts, tell the registry's administrator"


class NotARegistry(RegistryError):  # noqa: N818 - as Problem
    """Somebody else answers under its name, and waiting mends nothing."""

    needs = Needs.USER


# What AWS said


class AwsCredentialsMissing(Problem):
    code = "aws_credentials_missing"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "an AWS administrator must give this machine a role, or you put AWS keys into the secret; in a "
        "container on EC2 the metadata hop limit must be 2"
    )


class AwsAccessDenied(Problem):
    code = "aws_access_denied"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    pace = Pace.REJECTED
    hint = (
        "an AWS administrator must allow the action that the message names, in the IAM policy of the "
        "identity that it names"
    )


class AwsKeysRefused(AwsAccessDenied):
    """Those in the secret, which whoever wrote it must replace."""

    needs = Needs.USER


class AwsIdentityRejected(Problem):
    code = "aws_identity_rejected"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    pace = Pace.REJECTED
    hint = (
        "an AWS administrator must compare the role's trust policy (IAM, Roles, Trust relationships) with "
        "the token's iss, aud and sub"
    )


class AwsIdentityUnavailable(Problem):
    code = "aws_identity_unavailable"
    needs = Needs.ADMIN
    hint = "whoever runs the platform must see that the file or the command in the message gives a token to this user"


class AwsThrottled(Problem):
    code = "aws_throttled"
    needs = Needs.NOBODY
    hint = "nothing to do: the agent tries again; many environments of this AWS account ask at the same time"


class AwsUnreachable(Problem):
    code = "aws_unreachable"
    needs = Needs.ADMIN
    hint = (
        "ask the network's administrator for a way to AWS: a firewall rule, HTTPS_PROXY, or VPC endpoints "
        "for ecr.api and sts"
    )


class AwsError(Problem):
    code = "aws_error"
    needs = Needs.NOBODY
    hint = "nothing to do at first: the agent tries again; if it lasts, look at https://health.aws.amazon.com"


class ClockSkew(Problem):
    code = "clock_skew"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "set this machine's clock: `sudo timedatectl set-ntp true`; in a container it is the host's, which "
        "its administrator must set"
    )


# The life of a login


class RenewalFailing(Problem):
    code = "renewal_failing"
    needs = Needs.NOBODY
    hint = "pulls still work until then; mend the other warning about this registry before"


class TokenExpired(Problem):
    code = "token_expired"
    severity = Severity.ERROR
    hint = (
        "pulls from this registry fail until a renewal works: mend the other warning about it, then "
        "`registry-agent renew HOST`"
    )


# Docker's configuration


class ConfigInvalid(Problem):
    code = "config_invalid"
    severity = Severity.ERROR
    hint = "correct that place in the file, or move the file away; the agent does not touch it as it is"


class ConfigUnwritable(Problem):
    code = "config_unwritable"
    severity = Severity.ERROR
    hint = (
        "make room on its disk, or make Docker's configuration directory writable for this user: `sudo chown "
        "-R USER ~/.docker`"
    )


class CredentialStoreFailed(Problem):
    code = "credential_store_failed"
    severity = Severity.ERROR
    hint = (
        "see what `docker-credential-NAME list` says, or take NAME out of credsStore and credHelpers in "
        "Docker's config.json"
    )


class LoginOverridden(Problem):
    code = "login_overridden"
    hint = (
        "to use the injected secret, `registry-agent renew HOST`; to keep the other login, name HOST in secrets.exclude"
    )


class LoginRestored(Problem):
    code = "login_restored"
    severity = Severity.NOTICE
    needs = Needs.NOBODY
    hint = "nothing to do; to have the agent leave this registry alone, name it in secrets.exclude"


class ReportFailed(Problem):
    code = "report_failed"
    severity = Severity.NOTICE
    needs = Needs.ADMIN
    hint = (
        "whoever runs the dashboard must check the receiver, report.url and report.token_file; nothing else "
        "depends on it"
    )


class InternalError(Problem):
    """Beside the interface's own codes: a bug must be told, and must cost one registry at most."""

    code = "internal_error"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "nobody's mistake but the agent's: report it to whoever maintains it, with the event login.crashed from the log"
    )
