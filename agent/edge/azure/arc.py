"""Gets a token of the machine's identity from Azure Arc, which wants the content of a file of its group as proof."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from agent.edge.azure.token import AzureToken
from agent.edge.cloud_http import CloudHttp, CloudRequest, NoAnswerError
from agent.edge.identity_token import IdentityTokenError, parse_identity_token, read_file
from agent.model.azure_errors import AUDIENCE, ERRORS, SUBJECT, managed_identity_problem, principal_of
from agent.model.cloud_reply import CloudReply
from agent.model.problem import ProblemError
from agent.model.problems.azure import AzureCredentialsMissing
from agent.model.sensitive import Sensitive

KEYS: Final = Path("/var/opt/azcmagent/tokens")
_UNAUTHORIZED: Final = 401
_LONGEST_KEY: Final = 4096


@dataclass(frozen=True, slots=True)
class AzureArc:
    """Azure Arc's own endpoint on this machine. It names a file in `keys`, which root and the group himds can read."""

    http: CloudHttp
    learned: Callable[[Sensitive], object]
    keys: Path = KEYS

    async def token(self, endpoint: str) -> AzureToken:
        """Return a token of the machine's only identity.

        Raises:
            ProblemError: the file cannot be read, or Azure Arc gives no token.
        """
        url = f"{endpoint}?{urlencode({'api-version': '2020-06-01', 'resource': AUDIENCE})}"
        request = CloudRequest("Azure Arc (IDENTITY_ENDPOINT)", url, {"Metadata": "true"}, direct=True)
        reply = await self._send(request)
        if reply.status == _UNAUTHORIZED:
            key = await self._key(reply.challenge)
            self.learned(key)
            headers = {**request.headers, "Authorization": f"Basic {key.reveal()}"}
            reply = await self._send(replace(request, headers=headers))
        if not reply.ok:
            raise ProblemError(ERRORS.problem(reply, lambda reply: managed_identity_problem(reply, None)))
        token = ERRORS.needed(reply, reply.secret("access_token"), "access_token")
        return AzureToken(token, reply.action, principal_of(token.reveal()))

    async def _send(self, request: CloudRequest) -> CloudReply:
        try:
            return await self.http.send(request)
        except NoAnswerError as error:
            raise ProblemError(AzureCredentialsMissing(SUBJECT, f"no answer from {error}")) from None

    async def _key(self, challenge: str) -> Sensitive:
        """Read the file that the challenge names. Any other file than a key of Azure Arc stays secret."""
        path = Path(challenge.rpartition("realm=")[2].strip('"'))
        if path.parent != self.keys or path.suffix != ".key":
            raise ProblemError(AzureCredentialsMissing(SUBJECT, "Azure Arc asks for a file that is none of its keys"))
        try:
            where = f"the key of Azure Arc {path}"
            content, _ = await read_file(where, path, _LONGEST_KEY, self.http.timeout_s)
            return parse_identity_token(content, where)
        except IdentityTokenError as error:
            hint = "ask your platform team to add this user to the group himds, and to restart the agent after that"
            raise ProblemError(AzureCredentialsMissing(SUBJECT, str(error), hint=hint)) from error
