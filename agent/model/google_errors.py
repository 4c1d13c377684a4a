"""Explains the refusals of Google's token services."""

import re
from collections.abc import Iterable
from typing import Final

from agent.model.cloud_errors import CloudErrors
from agent.model.cloud_reply import CloudReply
from agent.model.commands import command
from agent.model.problem import Problem, RetryClass
from agent.model.problems.google import (
    GoogleAccessDenied,
    GoogleCredentialsMissing,
    GoogleCredentialsUnusable,
    GoogleError,
    GoogleLoginExpired,
    GoogleThrottled,
    GoogleUnreachable,
)
from agent.model.text import printable

SUBJECT: Final = "google"
ERRORS: Final = CloudErrors(SUBJECT, GoogleThrottled, GoogleUnreachable, GoogleError)
USER: Final = "oauth2accesstoken"
"""The user name for an access token."""
READER: Final = "roles/artifactregistry.reader"
SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
"""Enough to pull and push. A wider token in Docker's configuration would be a bigger loss."""
ALL_SCOPES: Final = "https://www.googleapis.com/auth/cloud-platform"
_PULL_SCOPES: Final = frozenset(
    {ALL_SCOPES, SCOPE}
    | {f"https://www.googleapis.com/auth/devstorage.{right}" for right in ("read_only", "full_control")}
    | {"https://www.googleapis.com/auth/cloud-platform.read-only"}
)
_FLAVOR: Final = "Google"
_NOT_GOOGLE: Final = (
    "if this machine is not on Google Cloud, use a credential file or google.identity_token_file, or put a key into "
    "the secret, with _json_key as username"
)
_WIDER_SCOPE: Final = (
    "ask your Google Cloud administrator to stop this machine, give it the access scope cloud-platform, and start it "
    "again"
)
# The OAuth error codes of the token exchange, and what each one means.
_STS_FAULTS: Final = {
    "invalid_request": "the request is not valid",
    "invalid_target": "it does not know the workload identity provider in the audience",
    "unauthorized_client": "the attribute condition of the workload identity provider rejects this identity",
    "invalid_grant": "the identity token is not accepted",
}
_TOO_OLD: Final = (
    "wait: each attempt uses a new token; if the problem persists, ask your platform team why "
    "google.identity_token_file or google.identity_token_command provides expired tokens"
)
_AUDIENCE: Final = (
    "ask your Google Cloud administrator for the full name of the workload identity provider, and put it into "
    "google.audience, or into audience in the credential file"
)
_CONDITIONS: Final = (
    "ask your Google Cloud administrator to compare the workload identity provider (allowed audiences, attribute "
    "condition, issuer) with the token's aud, iss and sub"
)
_ENABLE: Final = (
    "ask your Google Cloud administrator to enable the API {api} in the project that the message names; it takes "
    "minutes until it works"
)
_DISABLED: Final = re.compile(r"SERVICE_DISABLED|has not been used in project")
# Why a service account gives no token: the status, words in the answer, the fault, and the hint.
_IMPERSONATION_FAULTS: Final = (
    (
        400,
        re.compile("lifetime"),
        "its tokens may not live that long",
        "lower token_lifetime_seconds, or ask your Google Cloud administrator to let the organization policy allow it",
    ),
    (
        403,
        _DISABLED,
        "the API iamcredentials.googleapis.com is disabled",
        _ENABLE.format(api="iamcredentials.googleapis.com"),
    ),
    (
        403,
        re.compile("vpcServiceControls|VPC_SERVICE_CONTROLS|SECURITY_POLICY_VIOLATED"),
        "a service perimeter forbids it",
        "ask your Google Cloud administrator to allow this request in the service perimeter (VPC Service Controls)",
    ),
)
_NARROW: Final = re.compile("ACCESS_TOKEN_SCOPE_INSUFFICIENT")
_WIDER_LOGIN: Final = "create the credential file again, with gcloud and without its option --scopes"
_WAIT: Final = (
    "wait: the agent tries again; if the problem persists, ask your platform team whether Google can reach the issuer "
    "of the token"
)
_NO_ISSUER: Final = re.compile(r"connecting to the given credential's issuer", re.IGNORECASE)
_OLD: Final = re.compile(r"expired|stale|not yet valid|issued in the future|\biat\b|\bexp\b", re.IGNORECASE)


def is_from_google(reply: CloudReply) -> bool:
    """Return whether the answer comes from Google's metadata server. Other clouds use the same address."""
    return reply.flavor == _FLAVOR


def foreign_metadata(reply: CloudReply) -> Problem:
    return GoogleCredentialsMissing(
        SUBJECT,
        f"the server at {reply.action} is not Google's metadata server (status {reply.status}, without the header "
        "Metadata-Flavor: Google)",
        hint=_NOT_GOOGLE,
    )


def unknown_universe(domain: str) -> Problem:
    return GoogleCredentialsMissing(
        SUBJECT,
        f"the metadata server names the cloud {printable(domain, 100)}, which the agent does not know, so the agent "
        "requests no token of another service account there",
        hint="ask your Google Cloud administrator to attach the service account itself to this machine, and remove "
        "google_service_account",
    )


def metadata_problem(reply: CloudReply, account: str) -> Problem | None:
    """Explain a refusal of Google's metadata server. `account` is the machine's service account, empty if unknown."""
    # GKE's metadata server repeats the status of IAM: 403 without the role, 404 if there is no such account.
    if reply.status in (403, 404) and "Unable to generate access token" in reply.text:
        return GoogleAccessDenied(
            SUBJECT,
            f"the metadata server may not get a token for {account or 'the service account of this pod'}"
            f"{reply.words(reply.text)}",
            hint=f"ask your Google Cloud administrator whether {account or 'the Google service account'} exists, and "
            "to grant roles/iam.workloadIdentityUser on it to this pod's Kubernetes service account; it takes minutes "
            "until it works",
        )
    if reply.status == 404:  # noqa: PLR2004 - HTTP's own number
        return GoogleCredentialsMissing(
            SUBJECT,
            "this machine has no service account (the metadata server answered with status 404)",
            hint="ask your Google Cloud administrator to attach a service account to this machine, with the role "
            f"{READER} and the access scope cloud-platform",
        )
    return None


def scopes_problem(principal: str | None, scopes: Iterable[str]) -> Problem | None:
    """Return a problem if the machine's access scopes allow no pull, whatever roles its service account has."""
    given = set(scopes)
    if not given or given & _PULL_SCOPES:
        return None
    return GoogleAccessDenied(
        SUBJECT,
        f"the access scopes of this machine do not let {principal or 'its service account'} pull images: "
        "cloud-platform or devstorage.read_only is missing",
        hint=_WIDER_SCOPE,
    )


def exchange_problem(reply: CloudReply, audience: str, described: str) -> Problem | None:
    """Explain why the Security Token Service refused an identity token. For `described`, see `jwt`."""
    if _DISABLED.search(reply.text):
        disabled = f"Google refused the identity token: the API sts.googleapis.com is disabled{reply.reason}"
        return GoogleAccessDenied(SUBJECT, disabled, hint=_ENABLE.format(api="sts.googleapis.com"))
    error = reply.string("error")
    fault = _STS_FAULTS.get(error or "")
    if fault is None:
        return None
    if error == "invalid_grant" and _NO_ISSUER.search(reply.text):
        return GoogleError(SUBJECT, f"Google could not check the identity token{described}{reply.reason}", hint=_WAIT)
    # The next attempt reads or runs the source again, so an old token is soon replaced.
    old = error == "invalid_grant" and _OLD.search(reply.text) is not None
    return GoogleAccessDenied(
        SUBJECT,
        f"Google refused the identity token{described} for {audience}: {fault}{reply.reason}",
        hint=_TOO_OLD if old else _AUDIENCE if error in ("invalid_request", "invalid_target") else _CONDITIONS,
        retry_class=RetryClass.SOON if old else None,
    )


def login_command(service_account: str | None) -> str:
    """Return the command for a login of the user, whose file impersonates the service account, if there is one."""
    impersonate = "gcloud auth application-default login --impersonate-service-account"
    return (service_account and command(impersonate, service_account)) or "`gcloud auth application-default login`"


def login_hint(is_gclouds: bool, service_account: str | None) -> str:
    """Return how to log in again, for a file that gcloud has written. gcloud always writes to its own directory."""
    login = login_command(service_account)
    if is_gclouds:
        return f"run {login}; the agent tries again by itself, or at once after `registry-agent renew HOST`"
    return (
        f"unset GOOGLE_APPLICATION_CREDENTIALS, run {login}, and replace the file in the message with the file that it "
        "saves"
    )


def refresh_problem(reply: CloudReply, place: str, login_again: str) -> Problem | None:
    """Explain the refusal of a person's login in the file `place`."""
    if reply.string("error") not in ("invalid_grant", "invalid_client", "unauthorized_client"):
        return None
    return GoogleLoginExpired(
        SUBJECT,
        f"Google no longer accepts your gcloud login in {place}{reply.reason}",
        hint=login_again,
    )


def impersonation_problem(
    reply: CloudReply, account: str, principal: str | None, *, is_machines: bool
) -> Problem | None:
    """Explain why `principal` gets no token for a service account. For `is_machines`, see `GoogleToken`."""
    who = principal or "this identity"
    denied = f"Google denied {who} a token for the service account {account}: "
    for status, words, fault, fix in _IMPERSONATION_FAULTS:
        if reply.status == status and words.search(reply.text):
            return GoogleAccessDenied(SUBJECT, f"{denied}{fault}{reply.reason}", hint=fix)
    if _NARROW.search(reply.text):
        narrow = f"{denied}the access scope cloud-platform is missing{reply.reason}"
        if is_machines:
            return GoogleAccessDenied(SUBJECT, narrow, hint=_WIDER_SCOPE)
        return GoogleLoginExpired(SUBJECT, narrow, hint=_WIDER_LOGIN)
    match reply.status:
        case 400:
            return GoogleCredentialsUnusable(
                SUBJECT,
                f"{denied}it is not the name of a service account{reply.reason}",
                hint="fix google_service_account in the secret, google.service_account, or the credential file: the "
                "name of a service account is an e-mail address",
            )
        case 403 | 404:
            return GoogleAccessDenied(
                SUBJECT,
                f"{denied}iam.serviceAccounts.getAccessToken is missing, or the account does not exist{reply.reason}",
                hint=f"ask your Google Cloud administrator to grant {_token_role(principal)} on {account} to {who}; it "
                "takes minutes until it works",
            )
    return None


def pull_hint(principal: str | None, reason: str) -> str:
    """Return the hint for an image that this identity may not pull. `reason` is the text of the registry."""
    if _DISABLED.search(reason):
        return _ENABLE.format(api="artifactregistry.googleapis.com")
    who = principal or "this identity"
    return (
        f"ask your Google Cloud administrator to grant {READER} on the repository to {who}; on a "
        "Compute Engine machine, its access scopes must include cloud-platform or devstorage.read_only too"
    )


def _token_role(principal: str | None) -> str:
    """A service account needs another role than a federated identity."""
    federated = principal is not None and principal.startswith("principal:")
    return "roles/iam.workloadIdentityUser" if federated else "roles/iam.serviceAccountTokenCreator"
