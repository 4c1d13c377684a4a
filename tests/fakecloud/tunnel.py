"""A forward proxy that connects the names of clouds to a simulated one, so that clients use the real names and TLS."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Self


class Tunnel:
    """Serves HTTP CONNECT on a free port. Names that are not in `ports` are refused with status 403.

    Attributes:
        asked: the hosts that clients wanted to reach.
    """

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports: Final = ports
        self.asked: Final[list[str]] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            host = head.split()[1].decode("ascii", "replace").rpartition(":")[0]
            self.asked.append(host)
            port = self._ports.get(host)
            if port is None:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                writer.close()
                return
            theirs, ours = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(_pump(reader, ours), _pump(theirs, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(1 << 16):
            sink.write(chunk)
            await sink.drain()
    sink.close()
