"""The network checks: the registry's name, the connection, the proxy and TLS."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from yarl import URL

from agent.doctor.check import Check, CheckRun, from_problem, passed, skipped, with_more
from agent.edge.ca_certificates import CaFileError, CertificateAuthorities
from agent.edge.certificate import Certificate, read_certificate
from agent.edge.http import Proxy, ProxyUnusable, proxy_for
from agent.edge.name_resolver import look_up
from agent.edge.registry_client import RegistryClient
from agent.edge.socks_proxy import PORT, SCHEMES, open_tunnel
from agent.model.docker_errors import explain
from agent.model.docker_results import CliOutput, Fault, ProbeResult
from agent.model.loopback import is_loopback
from agent.model.problem import Problem
from agent.model.registry import Registry
from agent.model.text import printable

_STEP_S: Final = 4.0
_HANDSHAKE_S: Final = 2.5
_HTTPS: Final = 443
_HTTP: Final = 80
_OK: Final = 200
_ADDRESSES_SHOWN: Final = 4
_MAX_HEADER_BYTES: Final = 1 << 14
_FAILURES: Final = (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError)
_FAULTS: Final = {"dns": Fault.DNS, "tcp": Fault.UNREACHABLE, "tls": Fault.TLS}
_PROXY_FAULTS: Final = {
    "dns": "the proxy {} from {} cannot be found: {}",
    "tcp": "the proxy {} from {} cannot be reached: {}",
    "proxy": "the proxy {} ({}) did not allow the connection: {}",
}

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Network:
    """Checks the network path to one registry. Each step has its own deadline. Sends no credential of the registry.

    Args:
        registry: the registry to connect to.
        requests: knows which CA files apply to the registry.
    """

    def __init__(self, registry: Registry, requests: RegistryClient) -> None:
        self._registry: Final = registry
        self._requests: Final = requests
        self._host, self._port = registry.host, registry.port or _HTTPS
        self._proxy = Proxy(None, {})
        self._on_this_machine = False
        self._authorities: Final = CertificateAuthorities()

    async def run(self, results: CheckRun) -> bool:
        """Run the checks. Returns whether docker can connect: with TLS, or without it on this machine's addresses."""
        try:
            self._choose_route()
        except ProxyUnusable as fault:
            # The names of the checks are fixed, so "dns" gets a result even if there is nothing to look up.
            results.add(passed("dns", "not looked up: the proxy cannot be used"))
            unusable = self._problem(Fault.UNREACHABLE, f"the proxy cannot be used: {fault}")
            return results.add(from_problem("proxy", unusable))
        steps = {"dns": self._resolve, "tcp": self._connect, "proxy": self._pass_proxy, "tls": self._secure}
        for name, step in steps.items():
            # Each step opens a connection of its own. So each has its own deadline, and none depends on the state of
            # an earlier one.
            try:
                check = await step()
            except _FAILURES as error:
                check = from_problem(name, self._failure(name, error))
            if not results.add(check):
                return False
        return True

    def _choose_route(self) -> None:
        """Set where the connection goes: to the registry, or to a proxy."""
        self._proxy = proxy_for(URL(f"https://{self._registry.api_host}/v2/"))
        url = self._proxy.url
        if url is not None:
            self._host, self._port = url.host or "", url.port or (PORT if url.scheme in SCHEMES else _HTTPS)

    async def _resolve(self) -> Check:
        async with asyncio.timeout(_STEP_S):
            found = await look_up(self._host, self._port)
        addresses = [*dict.fromkeys(str(address[0]) for *_, address in found)]
        # Docker makes exceptions for registries on loopback, and a proxy is never one.
        self._on_this_machine = self._proxy.url is None and any(map(is_loopback, addresses))
        shown = ", ".join(addresses[:_ADDRESSES_SHOWN])
        if self._proxy.url is None:
            return passed("dns", shown)
        return passed("dns", f"the proxy {self._host} has {shown}; it resolves {self._registry.hostname} itself")

    async def _connect(self) -> Check:
        try:
            address, port = await self._peer()
        except OSError as refused:
            # Docker then tries plain HTTP on this machine's addresses: on another port, if the name has none.
            if not self._on_this_machine or self._registry.port:
                raise
            https, self._port = self._port, _HTTP
            try:
                address, port = await self._peer()
            except OSError:
                self._port = https
                raise refused from None
        target = "the proxy at " if self._proxy.url else ""
        return passed("tcp", f"connected to {target}{address} port {port}")

    async def _peer(self) -> tuple[str, int]:
        async with self._open() as (_, writer):
            peer = writer.get_extra_info("peername") or ("?", 0)
        return peer[0], peer[1]

    async def _pass_proxy(self) -> Check:
        if self._proxy.url is None:
            return skipped("proxy", "no proxy is set for this registry (HTTPS_PROXY, NO_PROXY)")
        async with self._open() as streams:
            await self._tunnel(streams)
        return passed("proxy", f"{self._host}:{self._port} ({self._proxy.variable}) allows the connection")

    async def _secure(self) -> Check:
        # Reading the CA files has a deadline of its own, and its error names the file.
        context = await self._context()
        try:
            return passed("tls", str(await self._handshake(context) or "the certificate is valid"))
        except ssl.SSLCertVerificationError as error:
            why = (printable(error.verify_message, 200), self._authorities.unusable)
            return await self._distrusted("; ".join(part for part in why if part))
        except (OSError, asyncio.IncompleteReadError):
            if not self._on_this_machine:
                raise
        return skipped("tls", "no TLS; Docker 28.3 and earlier also try plain HTTP on this machine's addresses")

    async def _distrusted(self, detail: str) -> Check:
        # Docker treats loopback addresses as insecure registries.
        if self._on_this_machine:
            accepts = "Docker 28.3 and earlier accept any certificate from this machine's addresses"
            return passed("tls", f"{detail}; {accepts}")
        through = f"; seen through the proxy in {self._proxy.variable}" if self._proxy.url else ""
        check = from_problem("tls", self._problem(Fault.TLS, f"{detail}{through}"))
        certificate = await self._presented_certificate()
        return with_more(check, f"its certificate is {certificate}") if certificate else check

    async def _context(self) -> ssl.SSLContext:
        return await self._authorities.context(tuple(await self._requests.ca_files(self._registry)))

    async def _handshake(self, context: ssl.SSLContext) -> Certificate | None:
        """Secure the connection, and return the registry's certificate."""
        async with self._open() as streams:
            if self._proxy.url is not None:
                await self._tunnel(streams)
            _, writer = streams
            await writer.start_tls(context, server_hostname=self._registry.host, ssl_handshake_timeout=_HANDSHAKE_S)
            return read_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

    async def _presented_certificate(self) -> Certificate | None:
        """Return the certificate that failed verification. Sends nothing but the handshake over this connection."""
        # Verification is off only to read the certificate and show what is wrong with it.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with contextlib.suppress(*_FAILURES):
            return await self._handshake(context)
        return None

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[_Streams]:
        """Open a connection for at most `_STEP_S`."""
        async with asyncio.timeout(_STEP_S):
            to_proxy = self._proxy.url
            secure = await self._context() if to_proxy is not None and to_proxy.scheme == "https" else None
            streams = await asyncio.open_connection(self._host, self._port, ssl=secure, limit=_MAX_HEADER_BYTES)
            try:
                yield streams
            finally:
                # Not `close`: it would wait for the other side.
                streams[1].transport.abort()

    async def _tunnel(self, streams: _Streams) -> None:
        """Ask the proxy for a tunnel.

        Raises:
            ValueError: the proxy refuses; the message has its status.
        """
        reader, writer = streams
        if self._proxy.url is not None and self._proxy.url.scheme in SCHEMES:
            await open_tunnel(self._proxy.url, self._registry.host, self._registry.port or _HTTPS, reader, writer)
            return
        authority = self._registry.api_host if self._registry.port else f"{self._registry.api_host}:{_HTTPS}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        lines += [f"{name}: {value}" for name, value in self._proxy.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode(errors="replace")
        words = head.split(maxsplit=2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():  # noqa: PLR2004 - version, status
            raise ValueError("its answer is not HTTP")
        if int(words[1]) != _OK:
            raise ValueError(f"it answered with status {int(words[1][:3])}")

    def _failure(self, name: str, error: Exception) -> Problem:
        detail = _describe(name, error)
        if isinstance(error, CaFileError):
            return self._problem(Fault.TLS, detail)
        if self._proxy.url is not None and name in _PROXY_FAULTS:
            proxy = self._host if name == "dns" else f"{self._host}:{self._port}"
            return self._problem(Fault.UNREACHABLE, _PROXY_FAULTS[name].format(proxy, self._proxy.variable, detail))
        late = isinstance(error, TimeoutError)
        if name == "dns" and not late:
            detail = ""  # the problem contains it
        return self._problem(Fault.TIMEOUT if late and name == "tcp" else _FAULTS[name], detail)

    def _problem(self, fault: Fault, detail: str) -> Problem:
        """The problem that a failed login with this cause would show."""
        probe = ProbeResult(datetime.now(UTC), fault=fault, detail=detail)
        return explain(CliOutput(detail, fault=fault), probe, self._registry.hostname, "")


def _describe(name: str, error: Exception) -> str:
    """The cause of a failed step as text."""
    if isinstance(error, TimeoutError):
        return f"{'the name server gave ' if name == 'dns' else ''}no answer within {_STEP_S:g} s"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its name does not resolve"
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection closed before the answer was complete"
    if isinstance(error, ssl.SSLError):
        return printable((error.reason or str(error)).replace("_", " ").lower(), 200)
    # asyncio joins the messages of several addresses, and repeats each address. The error number is clearer.
    reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return printable(reason)
