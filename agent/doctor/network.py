"""The way to a registry: its name, the connection, a proxy, TLS."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from yarl import URL

from agent.doctor.certificate import Certificate, read_certificate
from agent.doctor.check import Check, CheckRun, from_problem, passed, skipped, with_more
from agent.edge.ca_certificates import CaFileError, CertificateAuthorities
from agent.edge.http import ProxyUnusable, proxy_for
from agent.edge.registry_requests import RegistryRequests
from agent.model.docker_errors import CliOutput, Fault, ProbeResult, explain
from agent.model.loopback import is_loopback
from agent.model.problem import Problem, ProblemError
from agent.model.registry import Registry
from agent.model.text import printable

LINKS: Final = ("dns", "tcp", "proxy", "tls")
_DNS_S: Final = 5.0
_TCP_S: Final = 4.0
_PROXY_S: Final = 4.0
_TLS_S: Final = 4.0
_HTTPS: Final = 443
_OK: Final = 200
_ADDRESSES_SHOWN: Final = 4
_LINE: Final = 1 << 14

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class _Route:
    """To whom the connection goes: the registry, or a proxy (with the headers that it wants)."""

    host: str
    port: int
    proxy: URL | None = None
    headers: Mapping[str, str] | None = None


class Network:
    """Looks at the way to one registry, each step with a deadline of its own; no credential of it goes over the wire.

    Args:
        registry: whose.
        questions: knows which CA files hold for the registry.
        now: the moment, for what certificates say of time.
    """

    def __init__(self, registry: Registry, questions: RegistryRequests, now: datetime) -> None:
        self._registry: Final = registry
        self._questions: Final = questions
        self._now: Final = now
        self._name: Final = registry.hostname
        self._on_this_machine = False

    async def run(self, walk: CheckRun) -> bool:
        """Whether a secure connection, or the plain one that Docker makes on this machine, is to be had."""
        try:
            way = self._way()
        except ProxyUnusable as fault:
            walk.add(passed("dns", "not asked: a proxy is set that cannot be used"))
            return walk.add(
                from_problem("proxy", self._problem(Fault.UNREACHABLE, f"the proxy cannot be used: {fault}"))
            )
        if not await walk.check("dns", self._resolve(way)) or not await walk.check("tcp", self._connect(way)):
            return False
        return await walk.check("proxy", self._pass_proxy(way)) and await walk.check("tls", self._secure(way))

    def _way(self) -> _Route:
        host, port = self._registry.host, self._registry.port or _HTTPS
        proxy, headers = proxy_for(f"https://{self._registry.api_host}/v2/")
        if proxy is None:
            return _Route(host, port)
        return _Route(proxy.host or "", proxy.port or _HTTPS, proxy, headers)

    async def _resolve(self, way: _Route) -> Check:
        try:
            async with asyncio.timeout(_DNS_S):
                found = await asyncio.get_running_loop().getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise ProblemError(self._dns_problem(way, error)) from error
        addresses = [*dict.fromkeys(str(address[0]) for *_, address in found)]
        self._on_this_machine = way.proxy is None and any(map(is_loopback, addresses))
        shown = ", ".join(addresses[:_ADDRESSES_SHOWN])
        return passed("dns", f"the proxy {way.host} is {shown}; it looks {self._name} up" if way.proxy else shown)

    def _dns_problem(self, way: _Route, error: Exception) -> Problem:
        late = f"no answer of the name server within {_DNS_S:g} s" if isinstance(error, TimeoutError) else ""
        if way.proxy is not None:
            why = late or "its name does not resolve"
            return self._problem(Fault.UNREACHABLE, f"the proxy {way.host} of HTTPS_PROXY cannot be found: {why}")
        return self._problem(Fault.DNS, late)

    async def _connect(self, way: _Route) -> Check:
        try:
            async with self._opened(way, _TCP_S) as (_, writer):
                peer = writer.get_extra_info("peername") or ("?", 0)
        except (OSError, TimeoutError) as error:
            detail = _why(error, f"no answer within {_TCP_S:g} s")
            if way.proxy is not None:
                raise ProblemError(
                    self._problem(Fault.UNREACHABLE, f"the proxy {way.host}:{way.port} cannot be reached: {detail}")
                ) from error
            raise ProblemError(
                self._problem(Fault.TIMEOUT if isinstance(error, TimeoutError) else Fault.UNREACHABLE, detail)
            ) from error
        whom = "the proxy at " if way.proxy else ""
        return passed("tcp", f"connected to {whom}{peer[0]} port {peer[1]}")

    async def _pass_proxy(self, way: _Route) -> Check:
        if way.proxy is None:
            return skipped("proxy", "none is set for this registry (HTTPS_PROXY, NO_PROXY)")
        where = f"{way.host}:{way.port} (HTTPS_PROXY)"
        try:
            async with self._opened(way, _PROXY_S) as streams:
                await self._tunnel(way, streams)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            detail = _why(error, f"no answer within {_PROXY_S:g} s")
            raise ProblemError(
                self._problem(Fault.UNREACHABLE, f"the proxy {where} did not let it through: {detail}")
            ) from error
        return passed("proxy", f"{where} lets it through")

    async def _secure(self, way: _Route) -> Check:
        context = await self._context()
        fault: Exception
        try:
            return passed("tls", str(await self._handshake(way, context) or "the certificate holds"))
        except ssl.SSLCertVerificationError as error:
            fault, detail = error, printable(error.verify_message, 200)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            fault, detail = error, _why(error, f"no end of the handshake within {_TLS_S:g} s")
        unverified = isinstance(fault, ssl.SSLCertVerificationError)
        if self._on_this_machine and unverified:
            return passed("tls", f"{detail}; on this machine's own addresses docker up to 28.3 takes any certificate")
        if self._on_this_machine:
            return skipped("tls", "none is spoken; on this machine's own addresses docker up to 28.3 tries plain HTTP")
        found = from_problem("tls", self._problem(Fault.TLS, detail))
        certificate = await self._presented(way) if unverified else None
        return with_more(found, f"its certificate is {certificate}") if certificate else found

    async def _context(self) -> ssl.SSLContext:
        try:
            files = await asyncio.to_thread(self._questions.ca_files, self._registry)
            return await asyncio.to_thread(CertificateAuthorities().context, tuple(files))
        except CaFileError as error:
            raise ProblemError(self._problem(Fault.TLS, str(error))) from error

    async def _handshake(self, way: _Route, context: ssl.SSLContext) -> Certificate | None:
        async with self._opened(way, _TLS_S) as streams:
            if way.proxy is not None:
                await self._tunnel(way, streams)
            _, writer = streams
            await writer.start_tls(context, server_hostname=self._registry.host, ssl_handshake_timeout=_TLS_S)
            return read_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

    async def _presented(self, way: _Route) -> Certificate | None:
        """The certificate that does not hold; nothing but the handshake goes over this connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return await self._handshake(way, context)
        return None

    @contextlib.asynccontextmanager
    async def _opened(self, way: _Route, seconds: float) -> AsyncIterator[_Streams]:
        """A connection for at most so many seconds."""
        async with asyncio.timeout(seconds):
            secure = await self._context() if way.proxy is not None and way.proxy.scheme == "https" else None
            streams = await asyncio.open_connection(way.host, way.port, ssl=secure, limit=_LINE)
            try:
                yield streams
            finally:
                streams[1].transport.abort()

    async def _tunnel(self, way: _Route, streams: _Streams) -> None:
        """Ask the proxy for a tunnel.

        Raises:
            ValueError: it gives none; with its status.
        """
        reader, writer = streams
        authority = self._registry.api_host if self._registry.port else f"{self._registry.api_host}:{_HTTPS}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        lines += [f"{name}: {value}" for name, value in (way.headers or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode(errors="replace")
        words = head.split(maxsplit=2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():  # noqa: PLR2004 - version, status
            raise ValueError("it does not answer as a proxy")
        if int(words[1]) != _OK:
            raise ValueError(f"it answered with status {int(words[1][:3])}")

    def _problem(self, fault: Fault, detail: str) -> Problem:
        """In the words of a login that failed for it."""
        return explain(
            CliOutput(detail, fault=fault), ProbeResult(self._now, fault=fault, detail=detail), self._name, ""
        )


def _why(error: Exception, late: str) -> str:
    match error:
        case TimeoutError():
            return late
        case asyncio.IncompleteReadError():
            return "the connection was closed before an answer was whole"
        case ssl.SSLError():
            return printable((error.reason or str(error)).replace("_", " ").lower(), 200)
        case OSError():
            return os.strerror(error.errno).lower() if error.errno else printable(str(error), 200)
    return printable(str(error), 200)
