"""A name server that knows no name."""

import asyncio
from typing import Final, cast

_HEADER: Final = 12
# RFC 1035, 4.1.1: a response, recursion desired and available, the name does not exist; one question, no answers.
_NO_SUCH_NAME: Final = bytes.fromhex("8183 0001 0000 0000 0000")


class NoNames(asyncio.DatagramProtocol):
    """Answers every query with "no such name"."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", _HEADER) + 5  # the name's end, its type and its class
        self._transport.sendto(data[:2] + _NO_SUCH_NAME + data[_HEADER:end], addr)


async def no_names(address: str) -> asyncio.DatagramTransport:
    """Serve on port 53 until the transport is closed."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(NoNames, local_addr=(address, 53))
    return transport


async def close(transport: asyncio.DatagramTransport) -> None:
    transport.abort()
    await asyncio.sleep(0)  # the loop closes its socket one turn later
