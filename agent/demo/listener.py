"""A listening port of the pretend cloud that can go down and come back under the same number."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_BACKLOG: Final = 128
_GRACE_S: Final = 0.2
"""How long requests may go on once the port goes down; a silent one never ends by itself."""


def _quiet_logger() -> logging.Logger:
    """Without it aiohttp reports each TLS hello to a plain port, which Docker always tries first."""
    logger = logging.getLogger(__name__)
    logger.disabled = True
    return logger


class Listener:
    """Serves `handle` on one address; the port is taken at once and kept until `close`, also while it is down.

    While it is down, connections are refused. `port` 0 takes a free one. Needs a running event loop only from
    `up` on.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(
        self, handle: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._handle: Final = handle
        self._tls: Final = tls
        self._socket = _bound(host, port)
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
        """Accept connections; nothing happens where it does already."""
        if self._runner is not None:
            return
        server = web.Server(self._handle, handler_cancellation=True, auto_decompress=False, logger=_quiet_logger())
        self._runner = web.ServerRunner(server, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, ssl_context=self._tls, backlog=_BACKLOG).start()

    async def down(self) -> None:
        """Refuse connections from now on, and end those that are open."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        # A connection that asyncio takes as the server ends would stay open: nobody more, and a turn for the last.
        asyncio.get_running_loop().remove_reader(self._socket)
        await asyncio.sleep(0)
        await runner.cleanup()
        self._socket = _bound(self.host, self.port)

    async def close(self) -> None:
        await self.down()
        self._socket.close()
        # The loop closes the transports' sockets one turn later.
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _bound(host: str, port: int) -> socket.socket:
    """Bound but not listening: nobody who asks for a free port gets it, and whoever connects is refused."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
