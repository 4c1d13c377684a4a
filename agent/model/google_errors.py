"""Turns the answers of Google's token services into problems."""

import re
from collections.abc import Iterable
from typing import Any, Final

from agent.model.cloud_reply import CloudReply
from agent.model.problem import Problem, RetryClass
from agent.model.problems.google import (
    GoogleAccessDenied,
    GoogleCredentialsMissing,
    GoogleError,
    GoogleLoginExpired,
    GoogleThrottled,
)

SUBJECT: Final = "google"
"""The subject until a service adds the registry (`Problem.about`)."""
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
_SERVER_ERROR: Final = 500
_NOT_GOOGLE: Final = (
    "if this machine is not on Google Cloud, use a credential file or google.identity_token_file, or put a key into "
    "the secret, with _json_key as username"
)
# The OAuth error codes of the token exchange, and what each one means.
_STS_FAULTS: Final = {
    "invalid_target": "it does not know the workload identity provider in the audience",
    "unauthorized_client": "the attribute condition of the workload identity provider rejects this identity",
    "invalid_grant": "the identity token is not accepted",
}
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


def metadata_problem(reply: CloudReply) -> Problem:
    """Return the problem behind a refusal of Google's metadata server."""
    passing = _passing(reply)
    if passing is not None:
        return passing
    match reply.status:
        case 404:
            return GoogleCredentialsMissing(
                SUBJECT,
                "this machine has no service account (the metadata server answered with status 404)",
                hint="ask your Google Cloud administrator to attach a service account to this machine, with the role "
                f"{READER} and the access scope cloud-platform",
            )
        case 403 if "Unable to generate access token" in reply.text:
            return GoogleAccessDenied(
                SUBJECT,
                f"the metadata server may not get a token for the service account of this pod{reply.words(reply.text)}",
                hint="ask your Google Cloud administrator to grant roles/iam.workloadIdentityUser on the Google "
                "service account to this pod's Kubernetes service account; it takes minutes until it works",
            )
    return _unexpected(reply)


def scopes_problem(principal: str | None, scopes: Iterable[str]) -> Problem | None:
    """Return a problem if the machine's access scopes allow no pull, whatever roles its service account has."""
    given = set(scopes)
    if not given or given & _PULL_SCOPES:
        return None
    return GoogleAccessDenied(
        SUBJECT,
        f"the access scopes of this machine do not let {principal or 'its service account'} pull images: "
        "cloud-platform or devstorage.read_only is missing",
        hint="ask your Google Cloud administrator to stop this machine, give it the access scope cloud-platform, and "
        "start it again",
    )


def exchange_problem(reply: CloudReply, audience: str) -> Problem:
    """Return the problem behind a refusal of the Security Token Service."""
    passing = _passing(reply)
    if passing is not None:
        return passing
    error = reply.string("error")
    fault = _STS_FAULTS.get(error or "")
    if fault is None:
        return _unexpected(reply)
    # The next attempt reads or runs the source again, so an old token is soon replaced.
    old = error == "invalid_grant" and _OLD.search(reply.text) is not None
    return GoogleAccessDenied(
        SUBJECT,
        f"Google refused the identity token for {audience}: {fault}{_words(reply)}",
        hint="wait: each attempt uses a new token; if the problem persists, ask your platform team why "
        "google.identity_token_file or google.identity_token_command provides expired tokens"
        if old
        else "ask your Google Cloud administrator to compare the workload identity provider (allowed audiences, "
        "attribute condition, issuer) with the token's aud, iss and sub",
        retry_class=RetryClass.SOON if old else None,
    )


def refresh_problem(reply: CloudReply) -> Problem:
    """Return the problem behind a refused login of a person."""
    passing = _passing(reply)
    if passing is not None:
        return passing
    if reply.string("error") not in ("invalid_grant", "invalid_client", "unauthorized_client"):
        return _unexpected(reply)
    return GoogleLoginExpired(
        SUBJECT,
        f"Google no longer accepts your gcloud login (application default credentials){_words(reply)}",
        hint="log in again: `gcloud auth application-default login`",
    )


def impersonation_problem(reply: CloudReply, account: str, principal: str | None) -> Problem:
    """Return the problem behind a refused token for another service account."""
    passing = _passing(reply)
    if passing is not None:
        return passing
    who = principal or "this identity"
    if reply.status in (403, 404):
        return GoogleAccessDenied(
            SUBJECT,
            f"Google denied {who} a token for the service account {account}: "
            f"iam.serviceAccounts.getAccessToken is missing, or the account does not exist{_words(reply)}",
            hint=f"ask your Google Cloud administrator to grant {_token_role(principal)} on {account} to {who}; it "
            "takes minutes until it works",
        )
    return _unexpected(reply)


def pull_hint(principal: str | None) -> str:
    """Return the hint for an image that this identity may not pull."""
    who = principal or "this identity"
    return (
        f"ask your Google Cloud administrator to grant {READER} on the repository to {who}; on a "
        "Compute Engine machine, its access scopes must include cloud-platform or devstorage.read_only too"
    )


def invalid_answer(reply: CloudReply, missing: str) -> Problem:
    return GoogleError(SUBJECT, f"the answer of {reply.action} cannot be used: {missing} is missing or invalid")


def _token_role(principal: str | None) -> str:
    """A service account needs another role than a federated identity."""
    federated = principal is not None and principal.startswith("principal:")
    return "roles/iam.workloadIdentityUser" if federated else "roles/iam.serviceAccountTokenCreator"


def _passing(reply: CloudReply) -> Problem | None:
    """Return the problem of a failure that ends by itself."""
    if reply.status == 429:  # noqa: PLR2004 - HTTP's own number
        return GoogleThrottled(SUBJECT, f"{reply.action} throttled the agent (status 429)", wait=reply.retry_after)
    if reply.status >= _SERVER_ERROR:
        message = f"{reply.action} failed with status {reply.status}{_words(reply)}"
        return GoogleError(SUBJECT, message, wait=reply.retry_after)
    return None


def _unexpected(reply: CloudReply) -> Problem:
    return GoogleError(SUBJECT, f"{reply.action} answered with status {reply.status}{_words(reply)}")


def _words(reply: CloudReply) -> str:
    """Return Google's own words: OAuth's description, or the message of an API error."""
    error: Any = reply.fields.get("error")
    return reply.words(error.get("message") if isinstance(error, dict) else reply.fields.get("error_description"))
