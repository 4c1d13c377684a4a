"""Probes a registry's `/v2/` directly, because the docker CLI hides bodies, `Retry-After` and the server's clock."""

import asyncio
import base64
import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from agent.blocking import BlockingCalls
from agent.edge.ca_certificates import CaFileError
from agent.edge.http import HttpClient, Reply, proxy_for
from agent.edge.http_date import parse_date
from agent.edge.name_resolver import NameResolver, look_up
from agent.edge.request_faults import fault_of
from agent.model.credential import Credential
from agent.model.docker_errors import parse_retry_after
from agent.model.docker_results import ProbeResult
from agent.model.loopback import is_loopback
from agent.model.registry import Registry
from agent.model.text import printable

_CERTS: Final = Path("/etc/docker/certs.d")
_CERTS_S: Final = 5.0
_CERTS_READS: Final = BlockingCalls("certs.d", limit=32)
BODY: Final = 1 << 20
_SHOWN: Final = 200
# The lookbehind keeps matching linear: without it, a long word would be tried again from each of its letters.
_CHALLENGE: Final = re.compile(r'(?<![a-zA-Z_])([a-zA-Z_]+)="([^"]*)"')
_REDIRECTS: Final = range(300, 400)
_MAX_REDIRECTS: Final = 5
_PORTAL: Final = 511
"""Network Authentication Required (RFC 6585): only captive portals send it, whatever the page."""
# The addresses of cloud metadata services, which give the keys of the machine to any local caller.
_METADATA: Final = tuple(map(ip_network, ("169.254.0.0/16", "::ffff:169.254.0.0/112", "fe80::/10", "fd00:ec2::/32")))


class RegistryClient:
    """Requests `/v2/` as Docker does: over TLS, or over plain HTTP if TLS fails and the registry is on loopback."""

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
        """Return what `/v2/` answers. With a credential, follow the challenge too. Never raises.

        The credential goes where `docker login` sends it: to the registry for Basic, or to the realm of the challenge
        for Bearer. A realm gets it only over TLS or on loopback, and a cloud's metadata service never gets it.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._probe(registry, credential, timeout)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            fault, detail = fault_of(error)
            return ProbeResult(self._now(), fault=fault, detail=self._scrub(detail))

    async def ca_files(self, registry: Registry) -> list[Path]:
        """Return the CA files in /etc/docker/certs.d for this registry, as the engine reads them.

        Raises CaFileError if the file system does not answer.
        """
        directory = self._certs / registry.api_host
        try:
            return await _CERTS_READS.call(directory, lambda: sorted(directory.glob("*.crt")), timeout=_CERTS_S)
        except TimeoutError:
            raise CaFileError(f"{directory} cannot be read: its file system does not answer") from None
        except OSError:
            return []

    async def _probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
        url, reply = await self._ping(registry, timeout)
        if reply.status in _REDIRECTS:
            return await self._redirected(registry, url, reply, timeout)
        if credential is None or reply.status != 401:  # noqa: PLR2004
            return self._result(reply, url)
        challenge = reply.headers.get("WWW-Authenticate", "")
        target = token_url(challenge, credential) if challenge.lower().startswith("bearer") else url
        if target is None or (target != url and not await may_be_sent(URL(target))):
            return self._result(reply, url)
        reply = await self._get(registry, target, timeout, {"Authorization": basic_header(credential)})
        server = URL(target).host or ""
        return replace(
            self._result(reply, target),
            refused=reply.status == 401,  # noqa: PLR2004
            token_server=printable(server) if server != registry.host else "",
        )

    async def _ping(self, registry: Registry, timeout: float) -> tuple[str, Reply]:
        url = f"https://{registry.api_host}/v2/"
        try:
            return url, await self._get(registry, url, timeout)
        except aiohttp.ClientResponseError:
            raise  # TLS works, and the answer is not HTTP: report that instead of trying plain HTTP
        except (aiohttp.ClientError, OSError):
            # Docker falls back to plain HTTP only for registries on this machine.
            if not await _on_loopback(registry.host, registry.port):
                raise
        url = f"http://{registry.api_host}/v2/"
        return url, await self._get(registry, url, timeout)

    async def _redirected(self, registry: Registry, url: str, reply: Reply, timeout: float) -> ProbeResult:
        """Follow redirects on the same host without a credential, and return the last answer.

        Docker follows them too, and takes a web page at the end for a successful login.
        """
        for _ in range(_MAX_REDIRECTS):
            target = _redirect_target(reply, url)
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
                method, url, headers=headers, timeout=timeout, ca_files=ca_files, limit=BODY
            )
        except aiohttp.ClientConnectorCertificateError as error:
            if not await _accepts_any_certificate(registry, URL(url)):
                _note_server(error, registry, url)
                raise
        except (aiohttp.ClientError, OSError) as error:
            _note_server(error, registry, url)
            raise
        return await self._unverified.request(method, url, headers=headers, timeout=timeout, limit=BODY)

    def _result(self, reply: Reply, url: str) -> ProbeResult:
        now = self._now()
        return ProbeResult(
            seen_at=now,
            status=reply.status,
            detail=printable(self._scrub(reply.body[: 16 * _SHOWN + 4].decode(errors="replace")), _SHOWN),
            registry=_is_registry(reply, url),
            retry_after=parse_retry_after(
                reply.headers.get("Retry-After"), now, parse_date(reply.headers.get("Retry-After"))
            ),
            server_time=parse_date(reply.headers.get("Date")),
            tls=url.startswith("https://"),
        )


def _note_server(error: Exception, registry: Registry, url: str) -> None:
    """Add to an error that another server failed than the registry: its token server."""
    host = URL(url).host
    if host != registry.host:
        error.add_note(f"at its token server {host}")


class _AnyCertificate(HttpClient):
    """Makes requests without checking certificates, as Docker does for registries on loopback."""

    async def _connector(self, *_: object) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(force_close=True, ssl=False, resolver=NameResolver())


async def _accepts_any_certificate(registry: Registry, url: URL) -> bool:
    """Return whether to skip the certificate check as Docker does: on this machine, and without a proxy."""
    if proxy_for(url).url is not None or not await _on_loopback(registry.host, registry.port):
        return False
    return url.host == registry.host or await _on_loopback(url.host or "", url.port)


def _redirect_target(reply: Reply, url: str) -> str | None:
    """Return the target of a redirect if it stays on the same host and does not go from TLS to plain HTTP."""
    location = reply.headers.get("Location")
    if reply.status not in _REDIRECTS or location is None:
        return None
    here = URL(url)
    try:
        # Drop a user name: it would be sent as a login.
        there = here.join(URL(location)).with_user(None)
    except ValueError:
        return None
    return str(there) if there.host == here.host and there.scheme in (here.scheme, "https") else None


def _is_registry(reply: Reply, url: str) -> bool:
    """Return False for a web page or a redirect to another host: that answer does not come from a registry."""
    if "Docker-Distribution-Api-Version" in reply.headers:
        return True
    if reply.status == _PORTAL:
        return False
    if reply.status in _REDIRECTS:
        with contextlib.suppress(ValueError):
            return URL(reply.headers.get("Location", "")).host in (None, URL(url).host)
        return False
    return reply.status >= 300 or "html" not in reply.headers.get("Content-Type", "").lower()  # noqa: PLR2004


def token_url(challenge: str, credential: Credential | None) -> str | None:
    """Return the token URL of a Bearer challenge (distribution's token authentication specification)."""
    fields = dict(_CHALLENGE.findall(challenge))
    realm = fields.get("realm", "")
    if not realm.startswith(("https://", "http://")):
        return None
    account = {"account": credential.username, "client_id": "docker"} if credential else {}
    scope = {"scope": fields["scope"]} if "scope" in fields else {}
    return str(URL(realm).update_query({**account, "service": fields.get("service", ""), **scope}))


async def may_be_sent(realm: URL) -> bool:
    """Return whether a password may be sent to the realm that a registry names."""
    host = realm.host or ""
    if realm.scheme != "https" and not is_loopback(host):
        return False
    addresses = await _addresses(host, realm.port)
    return not any(ip_address(address) in network for address in addresses for network in _METADATA)


def basic_header(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password.reveal()}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


async def _on_loopback(host: str, port: int | None) -> bool:
    """Return whether Docker treats the host as local: its name resolves to 127.0.0.0/8 or ::1."""
    return any(map(is_loopback, await _addresses(host, port)))


async def _addresses(host: str, port: int | None) -> list[str]:
    """Return the addresses of a name, or none if it does not resolve (maybe only a proxy knows it)."""
    try:
        found = await look_up(host, port or 443)
    except OSError:
        return []
    return [str(address[0]).partition("%")[0] for *_, address in found]
