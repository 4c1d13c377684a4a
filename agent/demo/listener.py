"""A listening port of the simulated cloud that can go down and come back with the same number."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, Self

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_BACKLOG: Final = 128
# Docker tries TLS on plain ports first, and aiohttp would log each attempt as an error.
_SILENT: Final = logging.Logger(__name__, level=logging.CRITICAL + 1)  # noqa: LOG001 - outside the tree on purpose
_GRACE_S: Final = 0.2
"""How long open requests may continue when the port goes down. A silent one would never end by itself."""


class Listener:
    """Serves `handle` on one address. It reserves the port at once and keeps it until `close`, also while it is down.

    While it is down, connections are refused. With `port` 0 it chooses a free port. It needs a running event loop only
    from `up` on.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(
        self, handle: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._handle: Final = handle
        self._tls: Final = tls
        self._socket = _bind(host, port)
        self._runner: web.ServerRunner | None = None
        self.host: Final = host
        self.port: Final[int] = self._socket.getsockname()[1]

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    async def up(self) -> None:
        """Accept connections. Does nothing if it is up already."""
        if self._runner is not None:
            return
        server = web.Server(self._handle, handler_cancellation=True, auto_decompress=False, logger=_SILENT)
        self._runner = web.ServerRunner(server, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, ssl_context=self._tls, backlog=_BACKLOG).start()

    async def down(self) -> None:
        """Refuse new connections, and close the open ones."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        # asyncio would leave a connection open that it accepts during the shutdown. So stop accepting first, and let
        # the loop finish the last one.
        asyncio.get_running_loop().remove_reader(self._socket)
        await asyncio.sleep(0)
        await runner.cleanup()
        self._socket = _bind(self.host, self.port)

    async def close(self) -> None:
        await self.down()
        self._socket.close()
        # The loop closes the sockets of the transports in its next iteration.
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _bind(host: str, port: int) -> socket.socket:
    """Bind a socket without listening. No other program gets the port, and connections to it are refused."""
    reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((host, port))
    except OSError:
        reserved.close()
        raise
    return reserved
