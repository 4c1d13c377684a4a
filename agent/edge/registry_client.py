"""The agent's own look at a registry's `/v2/`: the docker CLI hides bodies, `Retry-After` and the server's clock."""

import asyncio
import base64
import contextlib
import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from agent.edge.ca_certificates import CaFileError
from agent.edge.http import HttpClient, Reply, proxy_for
from agent.model.credential import Credential
from agent.model.docker_errors import Fault, ProbeResult, parse_retry_after
from agent.model.loopback import is_loopback
from agent.model.registry import Registry
from agent.model.text import printable

_CERTS: Final = Path("/etc/docker/certs.d")
_BODY: Final = 1 << 20
_SHOWN: Final = 200
# Looking behind keeps it from trying each letter of a long word as the word's first.
_CHALLENGE: Final = re.compile(r'(?<![a-zA-Z_])([a-zA-Z_]+)="([^"]*)"')
_PYTHONS_OWN: Final = re.compile(r"\[SSL: \w+\] | \(_ssl\.c:\d+\)")
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_REDIRECTS: Final = range(300, 400)
_FOLLOWED: Final = 5
# Where clouds keep their metadata services, which tell whoever is on the machine its keys.
_METADATA: Final = tuple(map(ip_network, ("169.254.0.0/16", "::ffff:169.254.0.0/112", "fe80::/10", "fd00:ec2::/32")))


class RegistryClient:
    """Asks `/v2/` as Docker would: over TLS, and over plain HTTP only on loopback when TLS does not work there."""

    def __init__(self, http: HttpClient, now: Callable[[], datetime], certs: Path = _CERTS) -> None:
        self._http: Final = http
        self._unverified: Final = _AnyCertificate()
        self._now: Final = now
        self._certs: Final = certs

    async def probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
        """What `/v2/` answers, followed through its challenge if a credential is given; never raises.

        The credential goes where `docker login` sends it: to the registry for Basic, to the challenge's realm for
        Bearer, and there only over TLS or on loopback, and never to a cloud's metadata service.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._probe(registry, credential, timeout)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            fault, detail = _fault(error)
            return ProbeResult(self._now(), fault=fault, detail=detail)

    def ca_files(self, registry: Registry) -> list[Path]:
        """What /etc/docker/certs.d holds for this registry, as the engine reads it. Blocking."""
        try:
            return sorted((self._certs / registry.api_host).glob("*.crt"))
        except OSError:
            return []

    async def _probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
        url, reply = await self._ping(registry, timeout)
        if reply.status in _REDIRECTS:
            return await self._redirected(registry, url, reply, timeout)
        if credential is None or reply.status != 401:  # noqa: PLR2004
            return self._result(reply, url)
        challenge = reply.headers.get("WWW-Authenticate", "")
        target = _token_url(challenge, credential) if challenge.lower().startswith("bearer") else url
        if target is None or (target != url and not await _may_be_sent(URL(target))):
            return self._result(reply, url)
        reply = await self._get(registry, target, timeout, {"Authorization": _basic(credential)})
        return replace(self._result(reply, target), refused=reply.status == 401)  # noqa: PLR2004

    async def _ping(self, registry: Registry, timeout: float) -> tuple[str, Reply]:
        url = f"https://{registry.api_host}/v2/"
        try:
            return url, await self._get(registry, url, timeout)
        except aiohttp.ClientResponseError:
            raise  # it speaks TLS: that its answer is no HTTP is what there is to say
        except (aiohttp.ClientError, OSError):
            if not await _on_loopback(registry.host, registry.port):
                raise
        url = f"http://{registry.api_host}/v2/"
        return url, await self._get(registry, url, timeout)

    async def _redirected(self, registry: Registry, url: str, reply: Reply, timeout: float) -> ProbeResult:
        """The last answer, as far as it is the same host's: Docker follows, and takes a page there for a yes.

        No credential goes along.
        """
        for _ in range(_FOLLOWED):
            onward = _redirect_target(reply, url)
            if onward is None:
                break
            url, reply = onward, await self._get(registry, onward, timeout)
        return self._result(reply, url)

    async def _get(
        self,
        registry: Registry,
        url: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
    ) -> Reply:
        ca_files = await asyncio.to_thread(self.ca_files, registry)
        try:
            return await self._http.request(
                method, url, headers=headers, timeout=timeout, ca_files=ca_files, limit=_BODY
            )
        except aiohttp.ClientConnectorDNSError as error:
            # A proxy's name is told from the one that was asked for by nothing else.
            if error.host == URL(url).raw_host:
                raise
            raise aiohttp.ClientProxyConnectionError(*error.args) from error
        except aiohttp.ClientConnectorCertificateError:
            if not await _certificate_may_be_any(registry, URL(url)):
                raise
        return await self._unverified.request(method, url, headers=headers, timeout=timeout, limit=_BODY)

    def _result(self, reply: Reply, url: str) -> ProbeResult:
        now = self._now()
        return ProbeResult(
            seen_at=now,
            status=reply.status,
            detail=printable(reply.body[: 16 * _SHOWN + 4].decode(errors="replace"), _SHOWN),
            registry=_is_registry(reply, url),
            retry_after=parse_retry_after(
                reply.headers.get("Retry-After"), now, _date(reply.headers.get("Retry-After"))
            ),
            server_time=_date(reply.headers.get("Date")),
            tls=url.startswith("https://"),
        )


class _AnyCertificate(HttpClient):
    async def _connector(self, *_: object) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(force_close=True, ssl=False)


async def _certificate_may_be_any(registry: Registry, url: URL) -> bool:
    """Whether Docker does not look at it either: on this machine, and here with no proxy in between."""
    if proxy_for(str(url))[0] is not None or not await _on_loopback(registry.host, registry.port):
        return False
    return url.host == registry.host or await _on_loopback(url.host or "", url.port)


def _redirect_target(reply: Reply, url: str) -> str | None:
    """Where a redirect leads on the same host; not from TLS to plain HTTP."""
    location = reply.headers.get("Location")
    if reply.status not in _REDIRECTS or location is None:
        return None
    here = URL(url)
    try:
        # Without a user name, which would be sent as a login.
        there = here.join(URL(location)).with_user(None)
    except ValueError:
        return None
    return str(there) if there.host == here.host and there.scheme in (here.scheme, "https") else None


def _is_registry(reply: Reply, url: str) -> bool:
    """A page where a registry's answer should be, or a redirect to another host, is somebody else's answer."""
    if "Docker-Distribution-Api-Version" in reply.headers:
        return True
    if reply.status in _REDIRECTS:
        with contextlib.suppress(ValueError):
            return URL(reply.headers.get("Location", "")).host in (None, URL(url).host)
        return False
    return reply.status >= 300 or "html" not in reply.headers.get("Content-Type", "").lower()  # noqa: PLR2004


def _token_url(challenge: str, credential: Credential | None) -> str | None:
    """Where a Bearer challenge sends people for a token (distribution's token authentication specification)."""
    fields = dict(_CHALLENGE.findall(challenge))
    realm = fields.get("realm", "")
    if not realm.startswith(("https://", "http://")):
        return None
    account = {"account": credential.username, "client_id": "docker"} if credential else {}
    scope = {"scope": fields["scope"]} if "scope" in fields else {}
    return str(URL(realm).update_query({**account, "service": fields.get("service", ""), **scope}))


async def _may_be_sent(realm: URL) -> bool:
    """Whether a password may go where a registry points to."""
    host = realm.host or ""
    if realm.scheme != "https" and not is_loopback(host):
        return False
    addresses = await _addresses(host, realm.port)
    return not any(ip_address(address) in network for address in addresses for network in _METADATA)


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password.reveal()}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _date(value: str | None) -> datetime | None:
    if not value or value.strip().isdigit():
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


async def _on_loopback(host: str, port: int | None) -> bool:
    """Whether Docker takes it for one on this machine: a name that resolves to 127.0.0.0/8 or ::1."""
    return any(map(is_loopback, await _addresses(host, port)))


async def _addresses(host: str, port: int | None) -> list[str]:
    """What a name resolves to; nothing where it does not, as behind a proxy that alone knows it."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port or 443)
    except OSError:
        return []
    return [str(address[0]).partition("%")[0] for *_, address in found]


def _fault(error: Exception) -> tuple[Fault, str]:
    fault, detail = Fault.UNREACHABLE, str(error) or type(error).__name__
    match error:
        case TimeoutError():
            fault, detail = Fault.TIMEOUT, ""
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            fault, detail = Fault.DNS, ""
        case aiohttp.ClientConnectorCertificateError():
            fault, detail = Fault.TLS, str(error.certificate_error)
        case ssl.SSLError() | aiohttp.ClientSSLError() | CaFileError():
            fault = Fault.TLS
        case aiohttp.ClientProxyConnectionError():
            unknown = isinstance(error.os_error, socket.gaierror)
            why = "its name does not resolve" if unknown else _why(error.os_error)
            detail = f"the proxy {error.host}:{error.port} cannot be reached: {why}"
        case aiohttp.ClientHttpProxyError():
            detail = f"the proxy answered with status {error.status}"
        case aiohttp.ClientResponseError():  # not HTTP; the rest of its text quotes what came
            fault, detail = Fault.NONSENSE, error.message.partition("\n")[0].rstrip(":").lower()
        case aiohttp.ServerDisconnectedError():  # its text may be aiohttp's own picture of half an answer
            half = not isinstance(error.message, str)
            detail = f"it ended the connection {'in the middle of its answer' if half else 'without an answer'}"
        case OSError():  # aiohttp.ClientOSError is one
            detail = _why(error)
    return fault, printable(_PYTHONS_OWN.sub("", detail))


def _why(error: OSError) -> str:
    """The system's own words: asyncio puts others around them, and several where a name has several addresses."""
    number = error.errno or next((int(found) for found in _ERRNO.findall(str(error))), None)
    return os.strerror(number).lower() if number else str(error)
