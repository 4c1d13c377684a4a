"""The agent's own outgoing HTTP: with a deadline, a size limit, and the proxies and CAs of the environment.

It never follows redirects, never keeps cookies and never reads `.netrc`.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from agent.edge.ca_certificates import CertificateAuthorities
from agent.edge.certificate import read_certificate, recording_context
from agent.edge.name_resolver import NameResolver
from agent.edge.socks_proxy import SCHEMES, SocksBridge, SocksError
from agent.model.loopback import is_loopback

_CHUNK: Final = 1 << 16
_ISSUER_S: Final = 3.0
# OpenSSL: self-signed, self-signed in the chain, unknown issuer, first certificate not verified.
_UNKNOWN_AUTHORITY: Final = (18, 19, 20, 21)


class BodyTooLarge(aiohttp.ClientError):
    """The answer is longer than the limit."""


class ProxyUnusable(aiohttp.ClientError):
    """The environment names a proxy that cannot be used. The text names the variable, never its value."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer with its whole body."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, the headers that log in to it, and the variable that names it. A URL of None is a direct connection.

    The URL has no user name, except that of a SOCKS proxy.
    """

    url: URL | None
    headers: Mapping[str, str]
    variable: str = ""


_DIRECT: Final = Proxy(None, {})


class HttpClient:
    """Makes each request on a new connection, so that changed proxies and CA files take effect at once."""

    def __init__(self) -> None:
        self._authorities: Final = CertificateAuthorities()

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float,
        ca_files: Iterable[Path] = (),
        connect_timeout: float | None = None,
        limit: int = 1 << 20,
        unix_socket: Path | None = None,
        direct: bool = False,
    ) -> Reply:
        """Return the answer, whatever its status. `timeout` also covers name resolution and reading CA files.

        With `unix_socket`, the host in `url` is only the `Host` header. An `Authorization` in `headers` replaces a user
        name in `url`. `ca_files` are trusted in addition to the system's, `SSL_CERT_FILE` and `AWS_CA_BUNDLE`. `limit`
        is the maximum size of the body in bytes. `direct` uses no proxy.

        Raises:
            TimeoutError: the answer was not complete in time.
            aiohttp.ClientError: for example ClientConnectorError (see its `os_error` for the reason) and its
                subclasses, ClientProxyConnectionError, InvalidURL, BodyTooLarge, ProxyUnusable, SocksError.
            CaFileError: one of `ca_files` cannot be used.
        """
        target = _parse(url, headers)
        given = _DIRECT if direct or unix_socket else proxy_for(target)
        async with self._explaining(target, given), asyncio.timeout(timeout), _bridged(given) as proxy:
            speaks_tls = target.scheme == "https" or (proxy.url is not None and proxy.url.scheme == "https")
            connector = await self._connector(speaks_tls, ca_files, unix_socket)
            # aiohttp sends `proxy_headers` only with CONNECT. A plain HTTP request goes to the proxy itself.
            to_proxy = proxy.headers if target.scheme == "http" else {}
            # No compression ("identity"): a small answer must not expand to gigabytes in memory.
            async with (
                aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.request(
                    method,
                    target,
                    headers=CIMultiDict({"Accept-Encoding": "identity", **to_proxy, **(headers or {})}),
                    data=body,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout),
                    proxy=proxy.url,
                    proxy_headers=proxy.headers,
                ) as response,
            ):
                return Reply(response.status, response.headers, await _read(response, limit))

    @contextlib.asynccontextmanager
    async def _explaining(self, target: URL, proxy: Proxy) -> AsyncIterator[None]:
        """Add to an error what it lacks: which variable names the proxy, or who issued the certificate."""
        try:
            yield
        except aiohttp.ClientConnectorDNSError as error:
            # Only the host in the error shows whether the name in the URL or the name of the proxy did not resolve.
            if error.host == target.raw_host:
                raise
            found = aiohttp.ClientProxyConnectionError(*error.args)
            found.add_note(_set_in(proxy))
            raise found from error
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError, SocksError) as error:
            error.add_note(_set_in(proxy))
            raise
        except aiohttp.ClientConnectorCertificateError as error:
            if self._authorities.unusable:
                error.add_note(self._authorities.unusable)
            elif getattr(error.certificate_error, "verify_code", 0) in _UNKNOWN_AUTHORITY:
                await _note_issuer(error, target, proxy)
            raise
        except UnicodeError as error:  # from the IDNA codec, when the name is resolved
            raise aiohttp.InvalidURL("the URL", "does not hold a host name") from error

    async def _connector(
        self, speaks_tls: bool, ca_files: Iterable[Path], unix_socket: Path | None
    ) -> aiohttp.TCPConnector | aiohttp.UnixConnector:
        if unix_socket is not None:
            return aiohttp.UnixConnector(str(unix_socket), force_close=True)
        if not speaks_tls:
            return aiohttp.TCPConnector(force_close=True, resolver=NameResolver())
        context = await self._authorities.context(tuple(ca_files))
        return aiohttp.TCPConnector(force_close=True, ssl=context, resolver=NameResolver())


def _parse(url: str | URL, headers: Mapping[str, str] | None) -> URL:
    try:
        target = URL(url)
    except ValueError as error:
        raise aiohttp.InvalidURL("the URL", "cannot be parsed") from error
    # aiohttp rejects a request with both a user name in the URL and an `Authorization` header.
    authorized = any(name.lower() == "authorization" for name in headers or {})
    return target.with_user(None) if authorized and target.user is not None else target


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(f"its answer is longer than {limit} bytes")
    return bytes(body)


def proxy_for(target: URL) -> Proxy:
    """Return the environment's proxy for `target`. Loopback uses none, as in Go and therefore in the docker CLI.

    Raises ProxyUnusable if that proxy cannot be used.
    """
    variable, given = _from_environment(f"{target.scheme.upper()}_PROXY")
    host = target.host or ""
    if not given or is_loopback(host) or _bypassed(host, target.port, _from_environment("NO_PROXY")[1]):
        return _DIRECT
    try:
        url = URL(given if "://" in given else f"http://{given}")
    except ValueError:
        raise ProxyUnusable(f"{variable} is not a URL") from None
    if url.scheme not in ("http", "https", *SCHEMES) or not url.host:
        raise ProxyUnusable(f"{variable} is not the URL of a proxy")
    if url.user is None or url.scheme in SCHEMES:
        return Proxy(url, {}, variable)
    try:
        authorization = aiohttp.encode_basic_auth(url.user, url.password or "", encoding="utf-8")
    except ValueError:
        raise ProxyUnusable(f"{variable} has a user name that cannot be sent") from None
    return Proxy(url.with_user(None), {"Proxy-Authorization": authorization}, variable)


async def _note_issuer(error: Exception, target: URL, proxy: Proxy) -> None:
    """Add to an error who issued the certificate. If a proxy intercepts TLS, this is how its users recognize it."""
    seen: list[bytes] = []
    context = recording_context(target.raw_host or "", seen)
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            asyncio.timeout(_ISSUER_S),
            _bridged(proxy) as way,
            aiohttp.TCPConnector(force_close=True, ssl=context, resolver=NameResolver()) as connector,
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.head(target.origin(), allow_redirects=False, proxy=way.url, proxy_headers=way.headers),
        ):
            pass
    certificate = read_certificate(seen[0]) if seen else None
    if certificate is not None:
        through = f", seen through the proxy in {proxy.variable}" if proxy.url else ""
        error.add_note(f"the certificate is issued by {certificate.issued_by}{through}")


def _set_in(proxy: Proxy) -> str:
    """Return which variable names the proxy, also if the other spelling names another one."""
    other = proxy.variable.swapcase()
    differs = os.environ.get(other, "").strip() not in ("", os.environ.get(proxy.variable, "").strip())
    return f"the proxy is set in {proxy.variable}" + (f" ({other} differs and is not used)" if differs else "")


def _from_environment(name: str) -> tuple[str, str]:
    """Return the variable and its value. Capital letters come first, as in Go: docker must use the same proxy."""
    found = ((each, os.environ.get(each, "").strip()) for each in (name, name.lower()))
    return next(((each, value) for each, value in found if value), (name, ""))


@contextlib.asynccontextmanager
async def _bridged(proxy: Proxy) -> AsyncIterator[Proxy]:
    """Replace a SOCKS proxy by a local HTTP proxy that leads to it, because aiohttp has no SOCKS."""
    if proxy.url is None or proxy.url.scheme not in SCHEMES:
        yield proxy
        return
    async with SocksBridge(proxy.url) as bridge:
        try:
            yield Proxy(bridge.url, bridge.headers, proxy.variable)
        except aiohttp.ClientError:
            if bridge.failure is None:
                raise
        if bridge.failure is not None:
            raise bridge.failure


def _bypassed(host: str, port: int | None, no_proxy: str) -> bool:
    """Return whether NO_PROXY matches `host`, by name, domain, address or network, or by `*`."""
    for entry in no_proxy.lower().split(","):
        name = entry.strip().removesuffix(f":{port}")
        # As in Go, and therefore in docker: with a dot in front, a domain itself does not match, only names in it.
        inside = f".{name.removeprefix('*.').removeprefix('.')}"
        if name and (name in ("*", host) or host.endswith(inside) or _within(host, name)):
            return True
    return False


def _within(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False
