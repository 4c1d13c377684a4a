"""Problems on the way to a token of an Azure container registry."""

from agent.model.problem import Needs, Problem, RetryClass, Severity


class AzureCredentialsMissing(Problem):
    code = "azure_credentials_missing"
    # A person must act, but the retries stay frequent: a platform may assign the identity minutes after the start.
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "ask your Azure administrator to assign a managed identity to this machine, or put a user name and password of "
        "the registry into the secret"
    )


class AzureCredentialsUnusable(AzureCredentialsMissing):
    # A setting or variable of the user is missing or names something that cannot be used.
    needs = Needs.USER


class AzureAccessDenied(Problem):
    code = "azure_access_denied"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    retry_class = RetryClass.REJECTED
    hint = "ask your Azure administrator to allow what the message shows as refused, for the identity shown there"


class AzureThrottled(Problem):
    code = "azure_throttled"
    fleet_wide = True
    needs = Needs.NOBODY
    hint = "wait: the agent tries again; Azure limits how many tokens a machine or a registry may request"


class AzureUnreachable(Problem):
    code = "azure_unreachable"
    fleet_wide = True
    needs = Needs.ADMIN
    hint = (
        "ask your network administrator for access to the host in the message: a firewall rule, HTTPS_PROXY, or a "
        "private endpoint"
    )


class AzureError(Problem):
    code = "azure_error"
    fleet_wide = True
    needs = Needs.NOBODY
    hint = "wait: the agent tries again; if the problem persists, check https://azure.status.microsoft"


class NotAnAzureRegistry(AzureError):  # noqa: N818 - as Problem
    # The host name in the secret is not one of Azure's registries. Waiting does not fix that.
    needs = Needs.USER
