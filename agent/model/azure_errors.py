"""Turns the answers of Azure's token services into problems. The error code decides, never the free text after it."""

from collections.abc import Mapping
from typing import Any, Final

from agent.model import jwt
from agent.model.cloud_reply import CloudReply
from agent.model.problem import Problem, RetryClass
from agent.model.problems.azure import (
    AzureAccessDenied,
    AzureCredentialsMissing,
    AzureCredentialsUnusable,
    AzureError,
    AzureThrottled,
)

SUBJECT: Final = "azure"
"""The subject until a service adds the registry (`Problem.about`)."""
USER: Final = "00000000-0000-0000-0000-000000000000"
"""The user name for a registry's token."""
AUDIENCE: Final = "https://containerregistry.azure.net"
AUTHORITIES: Final = frozenset(
    {"login.microsoftonline.com", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn"}
    | {"login.microsoftonline.us"}
)
"""The hosts of Entra ID in Azure's clouds. An identity token goes to no other host."""
_SERVER_ERROR: Final = 500
_GONE: Final = 410
_EARLY_OR_LATE: Final = 700024
_TEMPORARY: Final = 90033
_RECORD: Final = (
    "ask your Azure administrator to add a federated credential to the application, with exactly the token's iss, sub "
    "and aud (upper and lower case count); it takes minutes until it works"
)
_IDS: Final = "check azure.client_id and azure.tenant_id, or ask your Azure administrator for the right ones"
_CONDITIONAL: Final = "ask your Azure administrator to except this application from the conditional access policy"
# The error codes of Entra ID that a person must act on.
_REFUSALS: Final = {
    70021: ("no federated credential matches the identity token", _RECORD),
    700211: ("no federated credential matches the token's issuer", _RECORD),
    700212: ("no federated credential matches the token's audience", _RECORD),
    700213: ("no federated credential matches the token's subject", _RECORD),
    7002138: ("the subject of the federated credential differs in upper and lower case", _RECORD),
    700016: ("the application is not in the tenant", _IDS),
    90002: ("the tenant does not exist", _IDS),
    50076: ("a conditional access policy requires another factor", _CONDITIONAL),
    53003: ("a conditional access policy blocks the application", _CONDITIONAL),
}


def principal_of(token: str, client_id: str | None = None) -> str | None:
    """Return who an access token belongs to: the client, and the object that Azure's roles are assigned to."""
    claims = jwt.claims(token)
    client = jwt.text(claims, "appid", "azp") or client_id
    parts = (("client", client), ("object", jwt.text(claims, "oid")), ("tenant", jwt.text(claims, "tid")))
    return ", ".join(f"{name} {value}" for name, value in parts if value) or None


def foreign_metadata(reply: CloudReply) -> Problem:
    """Return the problem if another server answers at the address that all clouds use for their metadata."""
    whose = "Google's metadata server answered" if reply.flavor else "no Azure metadata service answered"
    return AzureCredentialsMissing(
        SUBJECT,
        f"{whose} at {reply.action} (status {reply.status}): this machine is not on Azure",
        hint="use azure.identity_token_file with azure.client_id and azure.tenant_id, or put a user name and password "
        "of the registry into the secret",
    )


def managed_identity_problem(reply: CloudReply, client_id: str | None) -> Problem:
    """Return the problem behind a refusal of the service for managed identities."""
    if reply.status == _GONE:
        return AzureError(SUBJECT, f"{reply.action} is being upgraded (status 410)")
    passing = _passing(reply)
    if passing is not None:
        return passing
    error = reply.string("error")
    if error is None:
        return foreign_metadata(reply)
    if error == "invalid_request":
        return _no_identity(reply, client_id)
    return AzureError(SUBJECT, f"{reply.action} gave no token: {error}{_words(reply)}", hint=_SEE_ADMIN)


def authority_problem(reply: CloudReply, client_id: str, tenant_id: str) -> Problem:
    """Return the problem behind a refusal of Entra ID."""
    codes = _codes(reply.fields)
    passing = _passing(reply)
    if passing is not None:
        return passing
    who = f"client {client_id} in tenant {tenant_id}"
    if _TEMPORARY in codes:
        return AzureError(SUBJECT, f"{reply.action} is busy{_words(reply)}")
    if _EARLY_OR_LATE in codes:
        return AzureAccessDenied(
            SUBJECT,
            f"Azure refused the identity token for {who}: it has expired, or is not valid yet{_words(reply)}",
            hint="wait: each attempt uses a new token; if the problem persists, check this machine's clock, and the "
            "file or command that provides the token",
            retry_class=RetryClass.SOON,
        )
    for code in codes:
        if code in _REFUSALS:
            fault, hint = _REFUSALS[code]
            return AzureAccessDenied(SUBJECT, f"Azure refused {who}: {fault}{_words(reply)}", hint=hint)
    if reply.string("error") is None:
        return AzureError(SUBJECT, f"{reply.action} answered with status {reply.status} and without an Azure error")
    return AzureAccessDenied(SUBJECT, f"Azure refused {who}: {reply.string('error')}{_words(reply)}", hint=_SEE_ADMIN)


def exchange_problem(reply: CloudReply, hostname: str, principal: str | None) -> Problem:
    """Return the problem behind a registry that does not exchange the token of Entra ID for its own."""
    passing = _passing(reply)
    if passing is not None:
        return passing
    who = principal or "this identity"
    match reply.status:
        case 401:
            return AzureAccessDenied(
                SUBJECT,
                f"{hostname} refused the token of {who}{_registry_words(reply)}",
                hint="ask your Azure administrator whether the registry belongs to the tenant of this identity, and "
                "use an identity of its tenant",
            )
        case 403:
            return AzureAccessDenied(
                SUBJECT,
                f"{hostname} refused {who} (status 403){_registry_words(reply)}",
                hint="ask your Azure administrator to allow this machine's network in the registry's firewall, or to "
                "connect it to the registry's private endpoint",
            )
        case 404:
            return AzureError(
                SUBJECT,
                f"{hostname} does not exchange tokens (status 404)",
                hint="check the host name in the secret: it must be the login server of an Azure container registry",
            )
    return AzureError(SUBJECT, f"{hostname} answered with status {reply.status}{_registry_words(reply)}")


def pull_hint(principal: str | None) -> str:
    """Return the hint for an image that this identity may not pull."""
    who = principal or "this identity"
    return (
        f"ask your Azure administrator to assign the role AcrPull on the registry to {who}; if the registry is in ABAC "
        "mode, AcrPull has no effect there, and the role is Container Registry Repository Reader"
    )


def invalid_answer(reply: CloudReply, missing: str) -> Problem:
    return AzureError(SUBJECT, f"the answer of {reply.action} cannot be used: {missing} is missing or invalid")


_SEE_ADMIN: Final = "ask your Azure administrator to look up the error in the message"


def _no_identity(reply: CloudReply, client_id: str | None) -> Problem:
    """Handle `invalid_request`. Azure has the same code for no identity, an unknown one, and several."""
    if client_id is None:
        return AzureCredentialsMissing(
            SUBJECT,
            f"this machine has no managed identity, or several{_words(reply)}",
            hint="ask your Azure administrator which managed identity this machine has; if it has several, put the "
            "client ID of one into azure_client_id in the secret, or into azure.client_id",
        )
    return AzureCredentialsUnusable(
        SUBJECT,
        f"this machine has no managed identity with the client ID {client_id}{_words(reply)}",
        hint="fix azure_client_id in the secret, azure.client_id or AZURE_CLIENT_ID, or ask your Azure administrator "
        "to assign that identity to this machine",
    )


def _passing(reply: CloudReply) -> Problem | None:
    """Return the problem of a failure that ends by itself."""
    if reply.status == 429:  # noqa: PLR2004 - HTTP's own number
        return AzureThrottled(SUBJECT, f"{reply.action} throttled the agent (status 429)", wait=reply.retry_after)
    if reply.status >= _SERVER_ERROR:
        message = f"{reply.action} failed with status {reply.status}{_words(reply)}"
        return AzureError(SUBJECT, message, wait=reply.retry_after)
    return None


def _codes(fields: Mapping[str, Any]) -> list[int]:
    codes = fields.get("error_codes")
    return [code for code in codes if isinstance(code, int)] if isinstance(codes, list) else []


def _words(reply: CloudReply) -> str:
    return reply.words(reply.fields.get("error_description"))


def _registry_words(reply: CloudReply) -> str:
    """Return the message of the first error, in the form of the registry API."""
    errors = reply.fields.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return reply.words(first.get("message") if isinstance(first, dict) else None)
