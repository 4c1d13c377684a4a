"""Looks up host names for aiohttp, in threads of their own: names without an answer must not delay files."""

import socket
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from agent.blocking import BlockingCalls, NoThreadError

_DEADLINE_S: Final = 30.0
"""aiohttp lets a lookup continue after its request was cancelled."""
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
_LOOKUPS: Final = BlockingCalls("names", limit=64)


async def look_up(host: str, port: int, family: int = socket.AF_UNSPEC, flags: int = 0) -> Sequence[AddressInfo]:
    """Call `getaddrinfo` in a thread.

    Raises:
        OSError: the name has no address, or no answer comes in time.
        aiohttp.ClientConnectionError: no thread can be started.
    """
    try:
        return await _LOOKUPS.call(
            host,
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=flags),
            timeout=_DEADLINE_S,
        )
    except NoThreadError as error:
        # aiohttp would report any other error as a name that does not resolve.
        raise aiohttp.ClientConnectionError(f"the name {host} was not looked up: {error.strerror}") from error


class NameResolver(AbstractResolver):
    """Asks the system's resolver. Lookups of the same name wait for each other."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises OSError if it has none, or if no answer comes in time."""
        found = await look_up(host, port, family, socket.AI_ADDRCONFIG)
        return [_result(host, kind, protocol, address) for kind, _, protocol, _, address in found]

    async def close(self) -> None:
        """Do nothing: no lookup belongs to one connection."""


def _result(host: str, family: int, protocol: int, address: tuple[Any, ...]) -> ResolveResult:
    # getnameinfo keeps the scope of a link-local IPv6 address ("%eth0").
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    ip, port = socket.getnameinfo(address, numeric)
    return ResolveResult(hostname=host, host=ip, port=int(port), family=family, proto=protocol, flags=numeric)
