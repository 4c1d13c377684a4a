"""Single questions to a registry, as a pull asks them: with a token for what is asked about, and without one."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import aiohttp
from yarl import URL

from agent.edge.http import Reply
from agent.edge.registry_client import RegistryClient, _basic, _fault, _may_be_sent, _token_url
from agent.model.credential import Credential
from agent.model.docker_errors import ProbeResult
from agent.model.registry import Registry
from agent.model.text import printable

PING: Final = "/v2/"
_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class RegistryReply:
    """What was `seen`, the challenge that `/v2/` gave, the address that was asked, and the answer's headers."""

    probe: ProbeResult
    challenge: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """`path` begins with `/v2/`; without a credential it is asked anonymously."""

    path: str = PING
    credential: Credential | None = None
    method: str = "GET"
    accept: str = "*/*"


class RegistryRequests(RegistryClient):
    """Asks over what `RegistryClient` looks through, and sends a credential to nobody else."""

    async def ask(self, registry: Registry, question: RegistryRequest, timeout: float) -> RegistryReply:
        """The answer, or the fault that kept it away; never raises."""
        try:
            async with asyncio.timeout(timeout):
                return await self._ask(registry, question, timeout)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            fault, detail = _fault(error)
            return RegistryReply(ProbeResult(self._now(), fault=fault, detail=detail))

    async def _ask(self, registry: Registry, question: RegistryRequest, timeout: float) -> RegistryReply:
        ping, reply = await self._ping(registry, timeout)
        challenge = printable(reply.headers.get("WWW-Authenticate", ""))
        if question.path == PING and question.credential is None:
            seen = await self._redirected(registry, ping, reply, timeout)
            return RegistryReply(seen, challenge, ping, reply.headers)
        url, headers = ping.removesuffix(PING) + question.path, {"Accept": question.accept}
        reply = await self._get(registry, url, timeout, headers, method=question.method)
        if reply.status == _UNAUTHORIZED:
            authorization = await self._authorization(registry, reply, question.credential, timeout)
            if authorization is None:
                refused = replace(self._result(reply, url), refused=question.credential is not None)
                return RegistryReply(refused, challenge, url, reply.headers)
            headers["Authorization"] = authorization
            reply = await self._get(registry, url, timeout, headers, method=question.method)
        return RegistryReply(self._result(reply, url), challenge, url, reply.headers)

    async def _authorization(
        self, registry: Registry, reply: Reply, credential: Credential | None, timeout: float
    ) -> str | None:
        """What the challenge of a reply asks for; None where it cannot be had."""
        challenge = reply.headers.get("WWW-Authenticate", "")
        if not challenge.lower().startswith("bearer"):
            return _basic(credential) if credential else None
        target = _token_url(challenge, credential)
        if target is None or not await _may_be_sent(URL(target)):
            return None
        reply = await self._get(registry, target, timeout, {"Authorization": _basic(credential)} if credential else {})
        token = _token_in(reply.body)
        return f"Bearer {token}" if token else None


def _token_in(body: bytes) -> str | None:
    """The token in a token server's answer, where it is one that a header can carry."""
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        return None
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else None
