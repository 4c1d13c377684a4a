"""Problems with an existing login, with the place where it is stored, and with reports about it."""

from agent.model.helper_names import OWN_PROGRAM
from agent.model.problem import Needs, Problem, Severity

# Renewal and expiry


class RenewalFailing(Problem):
    code = "renewal_failing"
    needs = Needs.NOBODY
    hint = (
        "no action needed here: the other warning about this registry has the cause; pulls still work until the login "
        "expires"
    )


class TokenExpired(Problem):
    code = "token_expired"
    severity = Severity.ERROR
    hint = (
        "fix the other warning about this registry, then run `registry-agent renew HOST`; pulls from it fail until a "
        "renewal works"
    )


# Docker's configuration


class ConfigInvalid(Problem):
    code = "config_invalid"
    severity = Severity.ERROR
    hint = "fix the file at the location shown in the message, or move it away; the agent does not touch it as it is"


class ConfigUnwritable(Problem):
    code = "config_unwritable"
    severity = Severity.ERROR
    hint = "free space on its disk, or let the agent's user write to Docker's configuration directory"


class CredentialStoreFailed(Problem):
    code = "credential_store_failed"
    severity = Severity.ERROR
    hint = "fix the credential helper, or remove it from credsStore and credHelpers in Docker's config.json"


class CannotStore(CredentialStoreFailed):
    """The helper only computes logins, such as amazon-ecr-credential-helper. It never stores one."""


class AgentHasNoLogin(CredentialStoreFailed):
    """The agent's own helper reports why the agent has no login. Nothing is wrong with the helper."""


class HelperUnavailable(Problem):
    code = "helper_unavailable"
    needs = Needs.ADMIN
    hint = (
        'ask your administrator to install docker-credential-registry-agent in /usr/bin, or set docker.store to "file"'
    )


def no_helper(*, from_snap: bool) -> HelperUnavailable:
    """Report that docker cannot run the agent's helper: it is confined by snap, or does not find the program."""
    instead = "logins are kept in Docker's own store"
    if from_snap:
        message = f"docker from snap cannot run {OWN_PROGRAM}; {instead}"
        hint = 'set docker.store to "file", or install docker as a package of the distribution'
        return HelperUnavailable(OWN_PROGRAM, message, hint=hint)
    message = f"docker.store is helper, but docker does not find {OWN_PROGRAM}; {instead}"
    return HelperUnavailable(OWN_PROGRAM, message)


class LoginOverridden(Problem):
    code = "login_overridden"
    hint = (
        "run `registry-agent renew HOST` to use the injected secret, or add HOST to secrets.exclude to keep the "
        "other login"
    )


class LoginRestored(Problem):
    code = "login_restored"
    severity = Severity.NOTICE
    needs = Needs.NOBODY
    hint = "no action needed; add HOST to secrets.exclude if the agent should leave this registry alone"


class ReportFailed(Problem):
    code = "report_failed"
    # A dashboard that is down must not make the environment look degraded.
    severity = Severity.NOTICE
    needs = Needs.ADMIN
    hint = (
        "ask the dashboard's administrator to check the receiver, report.url and report.token_file; nothing else is "
        "affected"
    )


class InternalError(Problem):
    """A bug in the agent. The interface does not list this code, but a bug must be visible too.

    It affects one registry at most.
    """

    code = "internal_error"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = "ask your platform team to report this bug in registry-agent, with the traceback in the log"

    @classmethod
    def of(cls, error: Exception, hostname: str) -> "InternalError":
        """Show only the type: the text of the error may quote a secret."""
        return cls(hostname, f"this is a bug in registry-agent ({type(error).__name__}); please report it")
