"""Sends single requests to a registry, as a pull does, with or without a credential."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import aiohttp
from yarl import URL

from agent.edge.http import Reply
from agent.edge.registry_client import basic_header, may_be_sent, token_url
from agent.edge.request_faults import fault_of
from agent.edge.stored_login_check import StoredLoginCheck, token_in
from agent.model.credential import Credential
from agent.model.docker_results import ProbeResult
from agent.model.registry import Registry
from agent.model.text import printable

PING: Final = "/v2/"
_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class RegistryReply:
    """The result of a request, the challenge of `/v2/`, the URL that answered, and the headers of the answer."""

    probe: ProbeResult
    challenge: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """A request. `path` begins with `/v2/`. Without a credential, the request is anonymous."""

    path: str = PING
    credential: Credential | None = None
    method: str = "GET"
    accept: str = "*/*"


class RegistryRequests(StoredLoginCheck):
    """Sends requests with the connections of `RegistryClient`, and under the same rules for credentials."""

    async def ask(self, registry: Registry, request: RegistryRequest, timeout: float) -> RegistryReply:
        """Return the answer, or the fault that prevented one. Never raises."""
        try:
            async with asyncio.timeout(timeout):
                return await self._ask(registry, request, timeout)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            fault, detail = fault_of(error)
            return RegistryReply(ProbeResult(self._now(), fault=fault, detail=self._scrub(detail)))

    async def _ask(self, registry: Registry, request: RegistryRequest, timeout: float) -> RegistryReply:
        ping, reply = await self._ping(registry, timeout)
        challenge = printable(self._scrub(reply.headers.get("WWW-Authenticate", "")))
        if request.path == PING and request.credential is None:
            probe = await self._redirected(registry, ping, reply, timeout)
            return RegistryReply(probe, challenge, ping, reply.headers)
        url, headers = ping.removesuffix(PING) + request.path, {"Accept": request.accept}
        # The challenge tells which credential the registry wants, so the first attempt has none.
        reply = await self._get(registry, url, timeout, headers, method=request.method)
        if reply.status == _UNAUTHORIZED:
            authorization = await self._authorization(registry, reply, request.credential, timeout)
            if authorization is None:
                refused = replace(self._result(reply, url), refused=request.credential is not None)
                return RegistryReply(refused, challenge, url, reply.headers)
            headers["Authorization"] = authorization
            reply = await self._get(registry, url, timeout, headers, method=request.method)
        return RegistryReply(self._result(reply, url), challenge, url, reply.headers)

    async def _authorization(
        self, registry: Registry, reply: Reply, credential: Credential | None, timeout: float
    ) -> str | None:
        """Return the `Authorization` that the challenge of a reply demands, or None if there is none to send."""
        challenge = reply.headers.get("WWW-Authenticate", "")
        if not challenge.lower().startswith("bearer"):
            return basic_header(credential) if credential else None
        target = token_url(challenge, credential)
        if target is None or not await may_be_sent(URL(target)):
            return None
        reply = await self._get(
            registry, target, timeout, {"Authorization": basic_header(credential)} if credential else {}
        )
        token = token_in(reply.body)
        return f"Bearer {token}" if token else None
