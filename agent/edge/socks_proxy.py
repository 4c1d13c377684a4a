"""Connects through a SOCKS5 proxy, which Go programs such as docker accept in HTTPS_PROXY. aiohttp has no SOCKS."""

import asyncio
import contextlib
import secrets
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from agent.edge.request_faults import system_reason

SCHEMES: Final = ("socks5", "socks5h")
PORT: Final = 1080
_CHUNK: Final = 1 << 16
_NO_LOGIN: Final = 0
_PASSWORD: Final = 2
_LONGEST: Final = 255
_ADDRESS_SIZES: Final = {1: 4, 4: 16}
_REFUSALS: Final = {
    2: "its rules do not allow the connection",
    3: "it reports that the network is unreachable",
    4: "it reports that the host is unreachable",
    5: "it reports that the connection was refused",
    6: "it reports that the connection timed out",
}


class SocksError(aiohttp.ClientError):
    """The proxy cannot be used for this connection. The text names its address, never its password."""


async def open_tunnel(
    proxy: URL, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Ask the proxy at the other end of the streams for a connection to `host` (RFC 1928). The proxy resolves the name.

    Raises:
        ValueError: the proxy refuses, or is no SOCKS5 proxy. The text completes "the proxy did not allow it: ...".
        asyncio.IncompleteReadError: it closed the connection.
    """
    methods = bytes([_NO_LOGIN] if proxy.user is None else [_NO_LOGIN, _PASSWORD])
    writer.write(bytes([5, len(methods)]) + methods)
    version, method = await reader.readexactly(2)
    if version != 5:  # noqa: PLR2004 - SOCKS5
        raise ValueError("its answer is not SOCKS5")
    if method == _PASSWORD and proxy.user is not None:
        writer.write(b"\x01" + _counted(proxy.user) + _counted(proxy.password or ""))
        if (await reader.readexactly(2))[1]:
            raise ValueError("it refused the user name or password")
    elif method != _NO_LOGIN:
        raise ValueError("it requires a user name and password")
    writer.write(b"\x05\x01\x00" + _address(host) + port.to_bytes(2, "big"))
    _, refusal, _, kind = await reader.readexactly(4)
    if refusal:
        raise ValueError(_REFUSALS.get(refusal, f"it answered with SOCKS error {refusal}"))
    size = _ADDRESS_SIZES.get(kind) or (await reader.readexactly(1))[0]
    await reader.readexactly(size + 2)


class SocksBridge:
    """A local HTTP proxy for one request, which passes it on through a SOCKS5 proxy.

    Without its password (`headers`), other users of this machine cannot use the SOCKS5 proxy through it.
    """

    def __init__(self, proxy: URL) -> None:
        self.headers: Final = {"Proxy-Authorization": f"Bearer {secrets.token_urlsafe(32)}"}
        self.failure: SocksError | None = None
        self._proxy: Final = proxy
        self._tasks: Final[set[asyncio.Task[object]]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)
        self.url = URL.build(scheme="http", host="127.0.0.1", port=self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio logs an error for its own task if that is cancelled.
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._relay(reader, writer)
        except asyncio.IncompleteReadError:
            self._fail("it closed the connection")
        except ValueError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"cannot be reached: {system_reason(error)}", refused=False)
        finally:
            writer.close()

    def _fail(self, reason: str, *, refused: bool = True) -> None:
        address = f"{self._proxy.host}:{self._proxy.port or PORT}"
        self.failure = SocksError(f"the proxy {address} {'did not allow the connection: ' if refused else ''}{reason}")

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.headers["Proxy-Authorization"].encode() not in head:
            return
        method, target, _ = head.split(b" ", 2)
        connect = method == b"CONNECT"
        there = URL(f"//{target.decode()}" if connect else target.decode())
        near, far = await asyncio.open_connection(self._proxy.host, self._proxy.port or PORT)
        try:
            await open_tunnel(self._proxy, there.raw_host or "", there.port or 80, near, far)
            if connect:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                far.write(_without_password(head))
            await asyncio.gather(_copy(reader, far), _copy(near, writer))
        finally:
            far.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        sink.write_eof()


def _without_password(head: bytes) -> bytes:
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"proxy-authorization:"))


def _counted(text: str) -> bytes:
    data = text.encode()
    if len(data) > _LONGEST:
        raise ValueError("its user name or password is too long for SOCKS5")
    return bytes([len(data)]) + data


def _address(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        return b"\x03" + _counted(host)
    return bytes([1 if address.version == 4 else 4]) + address.packed  # noqa: PLR2004 - IPv4
