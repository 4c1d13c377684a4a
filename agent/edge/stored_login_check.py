"""Asks a registry whether it accepts a login that Docker holds, without a pull."""

import asyncio
import json
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from agent.edge.http import Reply
from agent.edge.registry_client import BODY, RegistryClient, basic_header, may_be_sent, token_url
from agent.edge.request_faults import fault_of
from agent.model.credential import Credential
from agent.model.docker_config import Entry
from agent.model.docker_results import ProbeResult
from agent.model.registry import Registry


class StoredLoginCheck(RegistryClient):
    """Sends a stored login with the connections of `RegistryClient`, and under the same rules for credentials."""

    async def check(self, registry: Registry, entry: Entry, timeout: float) -> ProbeResult:
        """Ask the registry whether it accepts a login that Docker holds, as a pull does. Never raises.

        `refused` is set only if the registry, or its token server, answers 401 or 403 to the login itself. The answer
        has no body: the login may be a person's, and a server could repeat it.
        """
        try:
            async with asyncio.timeout(timeout):
                return replace(await self._check(registry, entry, timeout), detail="")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return ProbeResult(self._now(), fault=fault_of(error)[0])

    async def _check(self, registry: Registry, entry: Entry, timeout: float) -> ProbeResult:
        url, reply = await self._ping(registry, timeout)
        if reply.status != HTTPStatus.UNAUTHORIZED:
            return self._result(reply, url)
        challenge = reply.headers.get("WWW-Authenticate", "")
        credential = Credential(entry.username, entry.secret)
        authorization = basic_header(credential)
        if challenge.lower().startswith("bearer"):
            target = token_url(challenge, None if entry.identity_token else credential)
            if target is None or not await may_be_sent(URL(target)):
                return self._result(reply, url)
            if entry.identity_token:
                reply = await self._post_refresh(registry, target, entry, timeout)
            else:
                reply = await self._get(registry, target, timeout, {"Authorization": authorization})
            token = token_in(reply.body) if reply.status == HTTPStatus.OK else None
            if token is None:
                return replace(self._result(reply, target), refused=_refuses(reply))
            authorization = f"Bearer {token}"
        reply = await self._get(registry, url, timeout, {"Authorization": authorization})
        return replace(self._result(reply, url), refused=_refuses(reply))

    async def _post_refresh(self, registry: Registry, target: str, entry: Entry, timeout: float) -> Reply:
        """Ask the token server for a token in exchange for an identity token (its specification: OAuth 2)."""
        form = {
            **URL(target).query,
            "grant_type": "refresh_token",
            "client_id": "docker",
            "refresh_token": entry.secret.reveal(),
        }
        return await self._http.request(
            "POST",
            str(URL(target).with_query(None)),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            timeout=timeout,
            ca_files=await self.ca_files(registry),
            limit=BODY,
        )


def _refuses(reply: Reply) -> bool:
    """Whether an answer to a login refuses it. OAuth 2 answers 400 with this code to a token that has ended."""
    if reply.status == HTTPStatus.BAD_REQUEST:
        return b"invalid_grant" in reply.body
    return reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def token_in(body: bytes) -> str | None:
    """Return the token in the answer of a token server, if a header can carry it."""
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        return None
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else None
