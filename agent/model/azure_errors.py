"""Explains the refusals of Azure's token services. The error code decides, never the free text after it."""

from typing import Final

from agent.model import jwt
from agent.model.cloud_errors import CloudErrors
from agent.model.cloud_reply import CloudReply
from agent.model.problem import Problem, RetryClass
from agent.model.problems.azure import (
    AzureAccessDenied,
    AzureCredentialsMissing,
    AzureCredentialsUnusable,
    AzureError,
    AzureThrottled,
    AzureUnreachable,
    NotAnAzureRegistry,
)

SUBJECT: Final = "azure"
ERRORS: Final = CloudErrors(SUBJECT, AzureThrottled, AzureUnreachable, AzureError)
"""The user name for a registry's token."""
AUDIENCE: Final = "https://containerregistry.azure.net"
AUTHORITIES: Final = frozenset(
    {"login.microsoftonline.com", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn"}
    | {"login.microsoftonline.us"}
)
"""The hosts of Entra ID in Azure's clouds. An identity token goes to no other host."""
PLATFORM: Final = "IDENTITY_ENDPOINT"
"""The variable with which App Service and Container Apps name their own service for identities."""
_GONE: Final = 410
_NOT_FOUND: Final = 404
_NO_IDENTITY: Final = (400, 404)
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
    900023: ("the name of the tenant is not valid", _IDS),
    700038: ("the client ID is not valid", _IDS),
    7000112: ("the application is disabled", "ask your Azure administrator to enable the application"),
    7000229: (
        "the application has no service principal in the tenant",
        "ask your Azure administrator to create a service principal for the application in this tenant",
    ),
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
    """Explain a refusal of the service for managed identities."""
    # Another cloud's server at this address also answers 404, but not with JSON.
    if reply.status == _GONE or (reply.status == _NOT_FOUND and reply.fields and reply.action != PLATFORM):
        return AzureError(SUBJECT, f"{reply.action} is being upgraded (status {reply.status})")
    error = reply.string("error")
    if error == "invalid_request" or (reply.action == PLATFORM and reply.status in _NO_IDENTITY):
        return _no_identity(reply, client_id)
    if error is None and reply.action != PLATFORM:
        return foreign_metadata(reply)
    fault = error or f"status {reply.status}"
    return AzureAccessDenied(SUBJECT, f"{reply.action} gave no token: {fault}{reply.reason}", hint=_SEE_ADMIN)


def authority_problem(reply: CloudReply, client_id: str, tenant_id: str, described: str) -> Problem:
    """Explain why Entra ID refused an identity token. For `described`, see `jwt`."""
    codes = _codes(reply)
    who = f"client {client_id} in tenant {tenant_id}"
    if _TEMPORARY in codes:
        return AzureError(SUBJECT, f"{reply.action} is busy{reply.reason}")
    if _EARLY_OR_LATE in codes:
        return AzureAccessDenied(
            SUBJECT,
            f"Azure refused the identity token{described} for {who}: it has expired, or is not valid yet{reply.reason}",
            hint="wait: each attempt uses a new token; if the problem persists, check this machine's clock, and the "
            "file or command that provides the token",
            retry_class=RetryClass.SOON,
        )
    for code in codes:
        if code in _REFUSALS:
            fault, hint = _REFUSALS[code]
            return AzureAccessDenied(SUBJECT, f"Azure refused {who}: {fault}{described}{reply.reason}", hint=hint)
    if reply.string("error") is None:
        return AzureError(SUBJECT, f"{reply.action} answered with status {reply.status} and without an Azure error")
    return AzureAccessDenied(SUBJECT, f"Azure refused {who}: {reply.string('error')}{reply.reason}", hint=_SEE_ADMIN)


def exchange_problem(reply: CloudReply, hostname: str, principal: str | None) -> Problem | None:
    """Explain why a registry does not exchange the token of Entra ID for its own."""
    who = principal or "this identity"
    match reply.status:
        case 401:
            return AzureAccessDenied(
                SUBJECT,
                f"{hostname} refused the token of {who}{reply.reason}",
                hint="ask your Azure administrator whether the registry belongs to the tenant of this identity, and "
                "use an identity of its tenant",
            )
        case 403:
            return AzureAccessDenied(
                SUBJECT,
                f"{hostname} refused {who} (status 403){reply.reason}",
                hint="ask your Azure administrator to allow this machine's network in the registry's firewall, or to "
                "connect it to the registry's private endpoint",
            )
        case 404:
            return NotAnAzureRegistry(
                SUBJECT,
                f"{hostname} does not exchange tokens (status 404)",
                hint="check the host name in the secret: it must be the login server of an Azure container registry",
            )
    return None


def pull_hint(principal: str | None) -> str:
    """Return the hint for an image that this identity may not pull."""
    who = principal or "this identity"
    return (
        f"ask your Azure administrator to assign the role AcrPull on the registry to {who}; if the registry is in ABAC "
        "mode, AcrPull has no effect there, and the role is Container Registry Repository Reader"
    )


_SEE_ADMIN: Final = "ask your Azure administrator to look up the error in the message"


def _no_identity(reply: CloudReply, client_id: str | None) -> Problem:
    """Handle `invalid_request`. Azure has the same code for no identity, an unknown one, and several."""
    if client_id is None:
        return AzureCredentialsMissing(
            SUBJECT,
            f"this machine has no managed identity, or several{reply.reason}",
            hint="ask your Azure administrator which managed identity this machine has; if it has several, put the "
            "client ID of one into azure_client_id in the secret, or into azure.client_id",
        )
    return AzureCredentialsUnusable(
        SUBJECT,
        f"this machine has no managed identity with the client ID {client_id}{reply.reason}",
        hint="fix azure_client_id in the secret, azure.client_id or AZURE_CLIENT_ID, or ask your Azure administrator "
        "to assign that identity to this machine",
    )


def _codes(reply: CloudReply) -> list[int]:
    codes = reply.fields.get("error_codes")
    return [code for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
