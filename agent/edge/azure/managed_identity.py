"""Gets a token of the machine's managed identity: from the metadata service, or from App Service and Container Apps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from agent.edge.azure.token import AzureToken
from agent.edge.cloud_http import CloudHttp, CloudRequest, NoAnswerError
from agent.model.azure_errors import AUDIENCE, SUBJECT, invalid_answer, managed_identity_problem, principal_of
from agent.model.cloud_reply import CloudReply
from agent.model.problem import ProblemError
from agent.model.problems.azure import AzureCredentialsMissing

_METADATA: Final = "http://169.254.169.254"
_PATH: Final = "/metadata/identity/oauth2/token"


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The service on this machine's host. `environ` names another one on App Service."""

    http: CloudHttp
    environ: Mapping[str, str]

    async def token(self, client_id: str | None) -> AzureToken:
        """Return a token of the identity `client_id`, or of the only one.

        Raises:
            ProblemError: there is no such identity, this is not Azure, or the service fails.
        """
        request = self._request(client_id)
        try:
            reply = await self.http.send(request)
        except NoAnswerError as error:
            raise ProblemError(_not_azure(error)) from None
        if not reply.ok:
            raise ProblemError(managed_identity_problem(reply, client_id))
        return _token(reply)

    def _request(self, client_id: str | None) -> CloudRequest:
        query = {"resource": AUDIENCE, **({"client_id": client_id} if client_id else {})}
        endpoint, secret = self.environ.get("IDENTITY_ENDPOINT"), self.environ.get("IDENTITY_HEADER")
        # Service Fabric also sets a thumbprint, and Azure Arc names the metadata service. Both need other requests.
        other = self.environ.get("IDENTITY_SERVER_THUMBPRINT") or self.environ.get("IMDS_ENDPOINT")
        if endpoint and secret and not other:
            url = f"{endpoint}?{urlencode({'api-version': '2019-08-01', **query})}"
            return CloudRequest("IDENTITY_ENDPOINT", url, {"X-IDENTITY-HEADER": secret}, direct=True)
        base = (self.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or _METADATA).rstrip("/")
        url = f"{base}{_PATH}?{urlencode({'api-version': '2018-02-01', **query})}"
        return CloudRequest(f"the metadata service ({base})", url, {"Metadata": "true"}, direct=True)


def _token(reply: CloudReply) -> AzureToken:
    token = reply.secret("access_token")
    if token is None:
        raise ProblemError(invalid_answer(reply, "access_token"))
    return AzureToken(token, reply.action, principal_of(token.reveal(), reply.string("client_id")))


def _not_azure(error: NoAnswerError) -> AzureCredentialsMissing:
    return AzureCredentialsMissing(
        SUBJECT,
        f"no Azure credentials found; tried azure.identity_token_file, AZURE_FEDERATED_TOKEN_FILE, {error}",
    )
