"""Sends the agent's own requests to a registry, because the docker CLI hides bodies, `Retry-After` and the clock."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from agent.blocking import BlockingCalls
from agent.edge.ca_certificates import CaFileError
from agent.edge.http import HttpClient, Reply, proxy_for
from agent.edge.name_resolver import NameResolver
from agent.edge.registry_answers import (
    basic_header,
    is_registry,
    may_be_sent,
    on_loopback,
    redirect_target,
    refuses,
    token_in,
    token_url,
)
from agent.edge.request_faults import fault_of
from agent.model.credential import Credential
from agent.model.docker_config import Entry
from agent.model.docker_results import ProbeResult
from agent.model.http_headers import parse_date, parse_retry_after
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.model.text import printable

PING: Final = "/v2/"
_CERTS: Final = Path("/etc/docker/certs.d")
_CERTS_S: Final = 5.0
_CERTS_READS: Final = BlockingCalls("certs.d", limit=32)
_BODY: Final = 1 << 20
_SHOWN: Final = 200
_MAX_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """A request. `path` begins with `/v2/`. Without a credential, the request is anonymous."""

    path: str = PING
    credential: Credential | None = None
    method: str = "GET"
    accept: str = "*/*"


@dataclass(frozen=True, slots=True)
class RegistryReply:
    """The result of a request, the challenge of `/v2/`, and the headers of the answer."""

    probe: ProbeResult
    challenge: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class RegistryClient:
    """Sends requests as Docker does: over TLS, or over plain HTTP if TLS fails and the registry is on loopback.

    A login goes where `docker login` sends it: to the registry for Basic, or to the realm of the challenge for Bearer.
    A realm gets it only over TLS or on loopback, and a cloud's metadata service never gets it.
    """

    def __init__(
        self, http: HttpClient, now: Callable[[], datetime], certs: Path = _CERTS, *, scrub: Callable[[str], str] = str
    ) -> None:
        """`scrub` removes known secrets from what a registry answers."""
        self._http: Final = http
        self._unverified: Final = _AnyCertificate()
        self._now: Final = now
        self._certs: Final = certs
        self._scrub: Final = scrub

    async def probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
        """Return what `/v2/` answers, to a login if one is given. Never raises. `refused` is set only for a 401."""
        if credential is None:
            return (await self.ask(registry, RegistryRequest(), timeout)).probe
        result = (await self._answer(self._log_in(registry, credential, timeout), timeout)).probe
        return replace(result, refused=result.refused and result.status == HTTPStatus.UNAUTHORIZED)

    async def check(self, registry: Registry, entry: Entry, timeout: float) -> ProbeResult:
        """Ask the registry whether it accepts a login that Docker holds, without a pull. Never raises.

        `refused` is set only if the registry, or its token server, answers 401 or 403 to the login itself. The answer
        has no body: the login may be a person's, and a server could repeat it.
        """
        credential = Credential(entry.username, entry.secret)
        work = self._log_in(registry, credential, timeout, identity_token=entry.identity_token)
        return replace((await self._answer(work, timeout)).probe, detail="")

    async def ask(self, registry: Registry, request: RegistryRequest, timeout: float) -> RegistryReply:
        """Send one request, as a pull does. Return the answer, or the fault that prevented one. Never raises."""
        return await self._answer(self._ask(registry, request, timeout), timeout)

    async def ca_files(self, registry: Registry) -> list[Path]:
        """Return the CA files in /etc/docker/certs.d for this registry, as the engine reads them.

        Raises CaFileError if the file system does not answer.
        """
        directory = self._certs / registry.api_host
        try:
            return await _CERTS_READS.call(directory, lambda: sorted(directory.glob("*.crt")), timeout=_CERTS_S)
        except TimeoutError as error:
            reason = error.strerror or "its file system does not answer"
            raise CaFileError(f"{directory} cannot be read: {reason}") from None
        except OSError:
            return []

    async def _answer(self, work: Coroutine[Any, Any, RegistryReply], timeout: float) -> RegistryReply:
        try:
            async with asyncio.timeout(timeout):
                return await work
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            fault, detail = fault_of(error)
            return RegistryReply(ProbeResult(self._now(), fault=fault, detail=self._scrub(detail)))

    async def _log_in(
        self, registry: Registry, credential: Credential, timeout: float, *, identity_token: bool = False
    ) -> RegistryReply:
        """Send a login as the challenge of `/v2/` asks for. `refused` is set if the answer to the login refuses it."""
        url, reply = await self._ping(registry, timeout)
        if reply.status != HTTPStatus.UNAUTHORIZED:
            return RegistryReply(await self._redirected(registry, url, reply, timeout))
        authorization, answer, target = await self._authorize(
            registry, reply, credential, timeout, identity_token=identity_token
        )
        if authorization is None and not target:
            return RegistryReply(self._result(reply, url))
        if authorization is not None:
            answer, target = await self._get(registry, url, timeout, {"Authorization": authorization}), url
        server = URL(target).host or ""
        token_server = printable(server) if server != registry.host else ""
        return RegistryReply(replace(self._result(answer, target), refused=refuses(answer), token_server=token_server))

    async def _authorize(
        self,
        registry: Registry,
        reply: Reply,
        credential: Credential | None,
        timeout: float,
        *,
        identity_token: bool = False,
    ) -> tuple[str | None, Reply, str]:
        """Return the `Authorization` that the challenge in `reply` asks for, and the token server's answer and URL.

        None if there is none. The URL is empty if no token server was asked.
        """
        challenge, header = reply.headers.get("WWW-Authenticate", ""), basic_header(credential) if credential else None
        if not challenge.lower().startswith("bearer"):
            return header, reply, ""
        target = token_url(challenge, None if identity_token else credential)
        if target is None or not await may_be_sent(URL(target)):
            return None, reply, ""
        if credential and identity_token:
            answer = await self._exchange(registry, target, credential.password, timeout)
        else:
            answer = await self._get(registry, target, timeout, {"Authorization": header} if header else {})
        token = token_in(answer) if answer.status == HTTPStatus.OK else None
        return f"Bearer {token}" if token else None, answer, target

    async def _exchange(self, registry: Registry, target: str, token: Sensitive, timeout: float) -> Reply:
        """Ask the token server for a token in exchange for an identity token (its specification: OAuth 2)."""
        form = {"grant_type": "refresh_token", "client_id": "docker", "refresh_token": token.reveal()}
        return await self._http.request(
            "POST",
            str(URL(target).with_query(None)),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode({**URL(target).query, **form}).encode(),
            timeout=timeout,
            ca_files=await self.ca_files(registry),
            limit=_BODY,
        )

    async def _ask(self, registry: Registry, request: RegistryRequest, timeout: float) -> RegistryReply:
        ping, reply = await self._ping(registry, timeout)
        challenge = printable(self._scrub(reply.headers.get("WWW-Authenticate", "")))
        if request.path == PING:
            return RegistryReply(await self._redirected(registry, ping, reply, timeout), challenge, reply.headers)
        url, headers = ping.removesuffix(PING) + request.path, {"Accept": request.accept}
        # The challenge shows which credential the registry wants, so the first attempt has none.
        reply = await self._get(registry, url, timeout, headers, method=request.method)
        refused = False
        if reply.status == HTTPStatus.UNAUTHORIZED:
            authorization, *_ = await self._authorize(registry, reply, request.credential, timeout)
            refused = authorization is None and request.credential is not None
            if authorization is not None:
                headers["Authorization"] = authorization
                reply = await self._get(registry, url, timeout, headers, method=request.method)
        return RegistryReply(replace(self._result(reply, url), refused=refused), challenge, reply.headers)

    async def _ping(self, registry: Registry, timeout: float) -> tuple[str, Reply]:
        url = f"https://{registry.api_host}/v2/"
        try:
            return url, await self._get(registry, url, timeout)
        except aiohttp.ClientResponseError:
            raise  # TLS works, and the answer is not HTTP: report that instead of trying plain HTTP
        except (aiohttp.ClientError, OSError):
            # Docker falls back to plain HTTP only for registries on this machine.
            if not await on_loopback(registry.host, registry.port):
                raise
        url = f"http://{registry.api_host}/v2/"
        return url, await self._get(registry, url, timeout)

    async def _redirected(self, registry: Registry, url: str, reply: Reply, timeout: float) -> ProbeResult:
        """Follow redirects on the same host without a credential, and return the last answer.

        Docker follows them too, and takes a web page at the end for a successful login.
        """
        for _ in range(_MAX_REDIRECTS):
            target = redirect_target(reply, url)
            if target is None:
                break
            url, reply = target, await self._get(registry, target, timeout)
        return self._result(reply, url)

    async def _get(
        self,
        registry: Registry,
        url: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
    ) -> Reply:
        ca_files = await self.ca_files(registry)
        try:
            return await self._http.request(
                method, url, headers=headers, timeout=timeout, ca_files=ca_files, limit=_BODY
            )
        except aiohttp.ClientConnectorCertificateError as error:
            if not await _accepts_any_certificate(registry, URL(url)):
                _note_server(error, registry, url)
                raise
        except (aiohttp.ClientError, OSError) as error:
            _note_server(error, registry, url)
            raise
        return await self._unverified.request(method, url, headers=headers, timeout=timeout, limit=_BODY)

    def _result(self, reply: Reply, url: str) -> ProbeResult:
        now = self._now()
        return ProbeResult(
            seen_at=now,
            status=reply.status,
            detail=printable(self._scrub(reply.body[: 16 * _SHOWN + 4].decode(errors="replace")), _SHOWN),
            registry=is_registry(reply, url),
            retry_after=parse_retry_after(reply.headers.get("Retry-After"), now),
            server_time=parse_date(reply.headers.get("Date")),
            tls=url.startswith("https://"),
        )


def _note_server(error: Exception, registry: Registry, url: str) -> None:
    """Add to an error that another server failed than the registry: its token server."""
    server = URL(url)
    if server.host != registry.host:
        error.add_note(f"at its token server {server.host_port_subcomponent}")


class _AnyCertificate(HttpClient):
    """Makes requests without checking certificates, as Docker does for registries on loopback."""

    async def _connector(self, *_: object) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(force_close=True, ssl=False, resolver=NameResolver())


async def _accepts_any_certificate(registry: Registry, url: URL) -> bool:
    """Return whether to skip the certificate check as Docker does: on this machine, and without a proxy."""
    if proxy_for(url).url is not None or not await on_loopback(registry.host, registry.port):
        return False
    return url.host == registry.host or await on_loopback(url.host or "", url.port)
