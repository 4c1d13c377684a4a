"""What is wrong with a login that there is, with where it is kept, and with telling of it."""

from agent.model.problem import Needs, Problem, Severity

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
    hint = "make room on its disk, or let the agent's user write in Docker's configuration directory"


class CredentialStoreFailed(Problem):
    code = "credential_store_failed"
    severity = Severity.ERROR
    hint = "repair the credential helper, or take it out of credsStore and credHelpers in Docker's config.json"


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
