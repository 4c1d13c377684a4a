"""Connects a browser to an agent that listens only on its Unix socket, in any network namespace."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.codes.here import Here


@contextmanager
def address_of(path: Path, here: Here) -> Iterator[str]:
    """A URL on loopback that forwards to the socket `path`."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            theirs, ours = await asyncio.open_unix_connection(path)
            await asyncio.gather(_pump(reader, ours), _pump(theirs, writer))

    server = here.call(asyncio.start_server(pass_on, "127.0.0.1", 0))
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        here.call(_close(server))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(1 << 16):
            sink.write(chunk)
            await sink.drain()
    sink.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
