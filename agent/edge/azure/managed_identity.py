"""Gets a token of the machine's managed identity: from the metadata service, App Service, Container Apps or Arc."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from agent.edge.azure.arc import AzureArc
from agent.edge.azure.token import AzureToken
from agent.edge.cloud_http import CloudHttp, CloudRequest, NoAnswerError
from agent.model.azure_errors import AUDIENCE, ERRORS, PLATFORM, SUBJECT, managed_identity_problem, principal_of
from agent.model.cloud_reply import CloudReply
from agent.model.problem import ProblemError
from agent.model.problems.azure import AzureCredentialsMissing, AzureCredentialsUnusable
from agent.model.sensitive import Sensitive

_METADATA: Final = "http://169.254.169.254"
_PATH: Final = "/metadata/identity/oauth2/token"


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The service on this machine's host. `environ` names another one on App Service and Azure Arc."""

    http: CloudHttp
    environ: Mapping[str, str]
    learned: Callable[[Sensitive], object]

    async def token(self, client_id: str | None) -> AzureToken:
        """Return a token of the identity `client_id`, or of the only one.

        Raises:
            ProblemError: there is no such identity, this is not Azure, or the service fails.
        """
        endpoint = self.environ.get(PLATFORM)
        if endpoint and self.environ.get("IDENTITY_SERVER_THUMBPRINT"):
            raise ProblemError(AzureCredentialsUnusable(SUBJECT, _SERVICE_FABRIC, hint=_OTHER_WAY))
        if endpoint and self.environ.get("IMDS_ENDPOINT"):
            return await AzureArc(self.http, self.learned).token(endpoint)
        request = self._request(client_id)
        try:
            reply = await self.http.send(request)
        except NoAnswerError as error:
            raise ProblemError(_not_azure(error)) from None
        if not reply.ok:
            raise ProblemError(ERRORS.problem(reply, lambda reply: managed_identity_problem(reply, client_id)))
        return _token(reply)

    def _request(self, client_id: str | None) -> CloudRequest:
        query = {"resource": AUDIENCE, **({"client_id": client_id} if client_id else {})}
        endpoint, secret = self.environ.get(PLATFORM), self.environ.get("IDENTITY_HEADER")
        if endpoint and secret:
            url = f"{endpoint}?{urlencode({'api-version': '2019-08-01', **query})}"
            return CloudRequest(PLATFORM, url, {"X-IDENTITY-HEADER": secret}, direct=True)
        base = (self.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or _METADATA).rstrip("/")
        url = f"{base}{_PATH}?{urlencode({'api-version': '2018-02-01', **query})}"
        return CloudRequest(f"the metadata service ({base})", url, {"Metadata": "true"}, direct=True)


_SERVICE_FABRIC: Final = "the managed identity of Azure Service Fabric (IDENTITY_SERVER_THUMBPRINT) is not supported"
_OTHER_WAY: Final = (
    "use azure.identity_token_file with azure.client_id and azure.tenant_id, or put the application ID and the client "
    "secret of a service principal into the secret, as user name and password"
)


def _token(reply: CloudReply) -> AzureToken:
    token = ERRORS.needed(reply, reply.secret("access_token"), "access_token")
    return AzureToken(token, reply.action, principal_of(token.reveal(), reply.string("client_id")))


def _not_azure(error: NoAnswerError) -> AzureCredentialsMissing:
    return AzureCredentialsMissing(
        SUBJECT,
        f"no Azure credentials found; tried azure.identity_token_file, AZURE_FEDERATED_TOKEN_FILE, {error}",
    )
