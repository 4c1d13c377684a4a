"""Limits connections and the memory that each may use. Connections with a request in progress outrank idle ones."""

import asyncio
import logging
import resource
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.typedefs import Handler

from agent.web.responses import SECURITY_HEADERS, error_response

BACKLOG: Final = 4096
"""How many connections may wait to be accepted. If this queue is full, the Unix socket refuses a client, and a TCP
client retries after a second. 4,096 is also Linux's own default maximum."""
AT_ONCE: Final = 4
"""How many connections to accept at a time. Few compared with `_PLACES`, so that each one can send its request before
newer ones push it out."""
_PLACES: Final = 256
"""Connections of each listener (TCP and the Unix socket). A dashboard for many people may hold 200 event streams."""
_IDLE_TIMEOUT_S: Final = 75.0
"""The longest time between two requests, and from the connection to the end of its first request's headers."""
_SEND_TIMEOUT_S: Final = 30.0
"""How long a client may take to read an answer. aiohttp alone would keep the answers for a client that never reads."""
_READ_BYTES: Final = 64 << 10
_UNASKED_BYTES: Final = 2 * _READ_BYTES
"""How many bytes may arrive before the next request begins. aiohttp limits each header, but not all of them together.
This must be more than one read, which may contain the start of a body. Bodies are not held, and `BODY_LIMIT` limits
them."""
_HEADERS: Final = 64
_HEADER_BYTES: Final = 32 << 10
"""A browser sends the cookies of all programs on `localhost`, whatever their port. aiohttp alone allows 8,190 bytes."""
_HALF_CLOSED_S: Final = 1.0
"""How long a client that has closed its sending side may wait for its answer: `socat` and `nc -N` do this at once after
the request. Most other clients that do it have gone."""


def places() -> int:
    """How many connections a listener may have. Of the usual 1,024 file descriptors, both leave half for other work."""
    return min(_PLACES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)


class ConnectionLimiter:
    """The connections of one listener.

    If all places are taken, a new connection replaces the oldest one without a request in progress. Connections with a
    request in progress, such as event streams, are replaced only if they hold more than seven eighths of the places.
    """

    def __init__(self, most: int | None = None, *, patience_s: float = _SEND_TIMEOUT_S) -> None:
        self._places: Final = most or places()
        self._patience_s: Final = patience_s
        # Ordered by connection time, and by the start of the request. Not by the latest request: a client that sends
        # requests without end would always be the newest, and new clients would be pushed out before their first.
        self._connections: Final[dict[web.RequestHandler, None]] = {}
        self._asking: Final[dict[web.RequestHandler, None]] = {}

    def connected(self, connection: web.RequestHandler) -> None:
        if len(self._connections) >= self._places:
            self.abort(self._least_urgent())
        self._connections[connection] = None

    def abort(self, connection: web.RequestHandler) -> None:
        """Drop the connection at once. `close` would wait until the client has read everything."""
        if connection.transport is not None:
            connection.transport.abort()
        self.closed(connection)

    def closed(self, connection: web.RequestHandler) -> None:
        self._connections.pop(connection, None)
        self._asking.pop(connection, None)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request as in progress until the client has read the answer."""
        connection = request.protocol
        if connection in self._connections:
            self._asking[connection] = None
        if isinstance(connection, Connection):
            connection.begin(request.content)
        try:
            response = await handler(request)
            await self._send(request, response)
        finally:
            self._asking.pop(connection, None)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await response.prepare(request)
                await response.write_eof()
                await request.writer.drain()
        except TimeoutError:
            self.abort(request.protocol)

    def _least_urgent(self) -> web.RequestHandler:
        idle = [connection for connection in self._connections if connection not in self._asking]
        return idle[0] if len(idle) >= self._places // 8 or not self._asking else next(iter(self._asking))


class Connection(web.RequestHandler):
    """One connection. It counts the bytes that arrive, and is dropped if they are more than it may send."""

    def __init__(self, limiter: ConnectionLimiter, server: web.Server, log: logging.Logger) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=_IDLE_TIMEOUT_S,
            logger=log,
            access_log=log,
            max_headers=_HEADERS,
            max_field_size=_HEADER_BYTES,
        )
        self._limiter: Final = limiter
        self._unasked_bytes = 0
        self._body: aiohttp.StreamReader | None = None

    def begin(self, body: aiohttp.StreamReader) -> None:
        """Start a request, whose headers are complete."""
        self._unasked_bytes, self._body = 0, body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            transport.set_write_buffer_limits(0)  # so that `drain` waits until everything is sent
            # asyncio would read 256 KiB at a time, and what arrives behind a request is held until it is answered.
            transport.max_size = _READ_BYTES  # type: ignore[attr-defined]  # typeshed does not know it
            self._limiter.connected(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._limiter.closed(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's gives None, which closes at once
        """Close a little later: a request may be in progress."""
        if self.transport is not None:
            asyncio.get_running_loop().call_later(_HALF_CLOSED_S, self.transport.close)
        return True

    def data_received(self, data: bytes) -> None:
        if self._body is None or self._body.is_eof():
            self._unasked_bytes += len(data)
        if self._unasked_bytes > _UNASKED_BYTES:
            self._limiter.abort(self)
        else:
            super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a malformed request. aiohttp's own answer would quote the request, which may contain a token."""
        if request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, UnicodeError):
            # aiohttp quotes an unknown Expect header, and fails if it cannot encode it.
            status = HTTPStatus.BAD_REQUEST
        code = "bad_request" if status == HTTPStatus.BAD_REQUEST else "request_failed"
        phrase = HTTPStatus(status).phrase.lower()
        if isinstance(exc, LineTooLong) and _HEADER_BYTES in exc.args:
            phrase = f"a header is longer than {_HEADER_BYTES >> 10} KiB; in a browser, delete the cookies of this host"
        answer = error_response(status, code, phrase, SECURITY_HEADERS)
        answer.force_close()
        return answer
