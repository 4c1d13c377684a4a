"""Problems on the way to a token of Google Cloud."""

from agent.model.problem import Needs, Problem, RetryClass, Severity


class GoogleCredentialsMissing(Problem):
    code = "google_credentials_missing"
    # A person must act, but the retries stay frequent: a platform may attach a service account minutes after the start.
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "ask your Google Cloud administrator to attach a service account to this machine, or put the key of a service "
        "account into the secret, with _json_key as username"
    )


class GoogleCredentialsUnusable(GoogleCredentialsMissing):
    # A file, variable or setting of the user names credentials that cannot be used.
    needs = Needs.USER


class GoogleAccessDenied(Problem):
    code = "google_access_denied"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    retry_class = RetryClass.REJECTED
    hint = "ask your Google Cloud administrator to grant the role or access scope that the message shows as missing"


class GoogleLoginExpired(GoogleAccessDenied):
    # The user's own gcloud login was revoked, has ended, or has too few scopes. Only the user can log in again, and
    # need not wait.
    needs = Needs.USER
    retry_class = RetryClass.SOON


class GoogleThrottled(Problem):
    code = "google_throttled"
    fleet_wide = True
    needs = Needs.NOBODY
    hint = "wait: the agent tries again; Google limits how many tokens a machine or a project may request"


class GoogleUnreachable(Problem):
    code = "google_unreachable"
    fleet_wide = True
    needs = Needs.ADMIN
    hint = (
        "ask your network administrator for access to the host in the message: a firewall rule, HTTPS_PROXY, or "
        "Private Google Access"
    )


class GoogleStarting(GoogleUnreachable):
    # A new pod of GKE runs before its metadata server answers.
    needs = Needs.NOBODY
    hint = "wait: the agent tries again; the metadata server of a new pod answers after a few seconds"


class GoogleError(Problem):
    code = "google_error"
    fleet_wide = True
    needs = Needs.NOBODY
    hint = "wait: the agent tries again; if the problem persists, check https://status.cloud.google.com"
