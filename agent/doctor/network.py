"""The network checks: the registry's name, the connection, the proxy and TLS."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from yarl import URL

from agent.doctor.check import Check, CheckRun, from_problem, passed, skipped, with_more
from agent.edge.ca_certificates import CaFileError, CertificateAuthorities
from agent.edge.certificate import Certificate, read_certificate
from agent.edge.http import Proxy, ProxyUnusable, proxy_for
from agent.edge.name_resolver import look_up
from agent.edge.registry_requests import RegistryRequests
from agent.edge.socks_proxy import PORT, SCHEMES, open_tunnel
from agent.model.docker_errors import CliOutput, Fault, ProbeResult, explain
from agent.model.loopback import is_loopback
from agent.model.problem import Problem, ProblemError
from agent.model.registry import Registry
from agent.model.text import printable

CHECKS: Final = ("dns", "tcp", "proxy", "tls")
_DNS_S: Final = 5.0
_TCP_S: Final = 4.0
_PROXY_S: Final = 4.0
_TLS_S: Final = 4.0
_HTTPS: Final = 443
_OK: Final = 200
_ADDRESSES_SHOWN: Final = 4
_MAX_HEADER_BYTES: Final = 1 << 14

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class _Route:
    """Where the connection goes: to the registry, or to a proxy."""

    host: str
    port: int
    proxy: Proxy | None = None


class Network:
    """Checks the network path to one registry. Each step has its own deadline. Sends no credential of the registry.

    Args:
        registry: the registry to connect to.
        requests: knows which CA files apply to the registry.
        now: the time that is recorded in a problem.
    """

    def __init__(self, registry: Registry, requests: RegistryRequests, now: datetime) -> None:
        self._registry: Final = registry
        self._requests: Final = requests
        self._now: Final = now
        self._name: Final = registry.hostname
        self._on_this_machine = False
        self._authorities: Final = CertificateAuthorities()

    async def run(self, results: CheckRun) -> bool:
        """Run the checks. Returns whether docker can connect: with TLS, or without it on this machine's addresses."""
        # The names of the checks are fixed, so "dns" gets a result even if there is nothing to look up.
        try:
            route = self._route()
        except ProxyUnusable as fault:
            results.add(passed("dns", "not looked up: the proxy cannot be used"))
            return results.add(
                from_problem("proxy", self._problem(Fault.UNREACHABLE, f"the proxy cannot be used: {fault}"))
            )
        if not await results.check("dns", self._resolve(route)) or not await results.check("tcp", self._connect(route)):
            return False
        return await results.check("proxy", self._pass_proxy(route)) and await results.check("tls", self._secure(route))

    def _route(self) -> _Route:
        host, port = self._registry.host, self._registry.port or _HTTPS
        proxy = proxy_for(URL(f"https://{self._registry.api_host}/v2/"))
        if proxy.url is None:
            return _Route(host, port)
        default = PORT if proxy.url.scheme in SCHEMES else _HTTPS
        return _Route(proxy.url.host or "", proxy.url.port or default, proxy)

    async def _resolve(self, route: _Route) -> Check:
        try:
            async with asyncio.timeout(_DNS_S):
                found = await look_up(route.host, route.port)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise ProblemError(self._dns_problem(route, error)) from error
        addresses = [*dict.fromkeys(str(address[0]) for *_, address in found)]
        self._on_this_machine = route.proxy is None and any(map(is_loopback, addresses))
        shown = ", ".join(addresses[:_ADDRESSES_SHOWN])
        return passed(
            "dns", f"the proxy {route.host} has {shown}; it resolves {self._name} itself" if route.proxy else shown
        )

    def _dns_problem(self, route: _Route, error: Exception) -> Problem:
        late = f"the name server did not answer within {_DNS_S:g} s" if isinstance(error, TimeoutError) else ""
        if route.proxy is not None:
            why = late or "its name does not resolve"
            return self._problem(
                Fault.UNREACHABLE, f"the proxy {route.host} from {route.proxy.variable} cannot be found: {why}"
            )
        return self._problem(Fault.DNS, late)

    async def _connect(self, route: _Route) -> Check:
        try:
            async with self._open(route, _TCP_S) as (_, writer):
                peer = writer.get_extra_info("peername") or ("?", 0)
        except (OSError, TimeoutError) as error:
            detail = _describe(error, f"no answer within {_TCP_S:g} s")
            if route.proxy is not None:
                raise ProblemError(
                    self._problem(
                        Fault.UNREACHABLE,
                        f"the proxy {route.host}:{route.port} from {route.proxy.variable} cannot be reached: {detail}",
                    )
                ) from error
            raise ProblemError(
                self._problem(Fault.TIMEOUT if isinstance(error, TimeoutError) else Fault.UNREACHABLE, detail)
            ) from error
        target = "the proxy at " if route.proxy else ""
        return passed("tcp", f"connected to {target}{peer[0]} port {peer[1]}")

    async def _pass_proxy(self, route: _Route) -> Check:
        if route.proxy is None:
            return skipped("proxy", "no proxy is set for this registry (HTTPS_PROXY, NO_PROXY)")
        proxy = f"{route.host}:{route.port} ({route.proxy.variable})"
        try:
            async with self._open(route, _PROXY_S) as streams:
                await self._tunnel(route, streams)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            detail = _describe(error, f"no answer within {_PROXY_S:g} s")
            raise ProblemError(
                self._problem(Fault.UNREACHABLE, f"the proxy {proxy} did not allow the connection: {detail}")
            ) from error
        return passed("proxy", f"{proxy} allows the connection")

    async def _secure(self, route: _Route) -> Check:
        context = await self._context()
        fault: Exception
        try:
            return passed("tls", str(await self._handshake(route, context) or "the certificate is valid"))
        except ssl.SSLCertVerificationError as error:
            why = (printable(error.verify_message, 200), self._authorities.unusable)
            fault, detail = error, "; ".join(part for part in why if part)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            fault, detail = error, _describe(error, f"the TLS handshake did not finish within {_TLS_S:g} s")
        unverified = isinstance(fault, ssl.SSLCertVerificationError)
        # Docker treats loopback addresses as insecure registries.
        if self._on_this_machine and unverified:
            return passed(
                "tls", f"{detail}; Docker 28.3 and earlier accept any certificate from this machine's addresses"
            )
        if self._on_this_machine:
            return skipped("tls", "no TLS; Docker 28.3 and earlier also try plain HTTP on this machine's addresses")
        through = f"; seen through the proxy in {route.proxy.variable}" if route.proxy and unverified else ""
        check = from_problem("tls", self._problem(Fault.TLS, f"{detail}{through}"))
        certificate = await self._presented_certificate(route) if unverified else None
        return with_more(check, f"its certificate is {certificate}") if certificate else check

    async def _context(self) -> ssl.SSLContext:
        try:
            return await self._authorities.context(tuple(await self._requests.ca_files(self._registry)))
        except CaFileError as error:
            raise ProblemError(self._problem(Fault.TLS, str(error))) from error

    async def _handshake(self, route: _Route, context: ssl.SSLContext) -> Certificate | None:
        async with self._open(route, _TLS_S) as streams:
            if route.proxy is not None:
                await self._tunnel(route, streams)
            _, writer = streams
            await writer.start_tls(context, server_hostname=self._registry.host, ssl_handshake_timeout=_TLS_S)
            return read_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

    async def _presented_certificate(self, route: _Route) -> Certificate | None:
        """The certificate that failed verification. Sends nothing but the handshake over this connection."""
        # Verification is off only to read the certificate and show what is wrong with it.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return await self._handshake(route, context)
        return None

    @contextlib.asynccontextmanager
    async def _open(self, route: _Route, seconds: float) -> AsyncIterator[_Streams]:
        """Open a connection for at most `seconds`."""
        async with asyncio.timeout(seconds):
            to_proxy = route.proxy.url if route.proxy is not None else None
            secure = await self._context() if to_proxy is not None and to_proxy.scheme == "https" else None
            streams = await asyncio.open_connection(route.host, route.port, ssl=secure, limit=_MAX_HEADER_BYTES)
            try:
                yield streams
            finally:
                # Not `close`: it would wait for the other side.
                streams[1].transport.abort()

    async def _tunnel(self, route: _Route, streams: _Streams) -> None:
        """Ask the proxy for a tunnel.

        Raises:
            ValueError: the proxy refuses; the message has its status.
        """
        reader, writer = streams
        assert route.proxy is not None and route.proxy.url is not None  # noqa: S101, PT018 - only a proxy has tunnels
        if route.proxy.url.scheme in SCHEMES:
            await open_tunnel(route.proxy.url, self._registry.host, self._registry.port or _HTTPS, reader, writer)
            return
        authority = self._registry.api_host if self._registry.port else f"{self._registry.api_host}:{_HTTPS}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        lines += [f"{name}: {value}" for name, value in route.proxy.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode(errors="replace")
        words = head.split(maxsplit=2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():  # noqa: PLR2004 - version, status
            raise ValueError("its answer is not HTTP")
        if int(words[1]) != _OK:
            raise ValueError(f"it answered with status {int(words[1][:3])}")

    def _problem(self, fault: Fault, detail: str) -> Problem:
        """The problem that a failed login with this cause would show."""
        return explain(
            CliOutput(detail, fault=fault), ProbeResult(self._now, fault=fault, detail=detail), self._name, ""
        )


def _describe(error: Exception, late: str) -> str:
    """The cause of a failed connection as text; `late` is the text for a timeout."""
    match error:
        case TimeoutError():
            return late
        case asyncio.IncompleteReadError():
            return "the connection closed before the answer was complete"
        case ssl.SSLError():
            return printable((error.reason or str(error)).replace("_", " ").lower(), 200)
        case OSError():
            return os.strerror(error.errno).lower() if error.errno else printable(str(error), 200)
    return printable(str(error), 200)
