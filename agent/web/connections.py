"""Limits connections and the memory that each may use. Connections with a request in progress outrank idle ones."""

import asyncio
import logging
import resource
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web

from agent.web.responses import Handler, error_response

BACKLOG: Final = 4096
"""How many connections may wait to be accepted. If this queue is full, the Unix socket refuses a client, and a TCP
client retries after a second. 4,096 is also Linux's own default maximum."""
AT_ONCE: Final = 4
"""How many connections to accept at a time. Few compared with `_PLACES`, so that each one can send its request before
newer ones push it out."""
_PLACES: Final = 128
"""Connections of each listener (TCP and the Unix socket), without event streams. An environment has a handful of
clients, and each connection can hold about 0.5 MB."""
_STREAMS: Final = 224
"""Event streams of each listener, in addition to `_PLACES`: a dashboard for many people may hold 200. A stream can
hold a quarter of what another connection can: `_PIPELINED_BYTES` behind its request, and the same while it streams."""
_IDLE_TIMEOUT_S: Final = 75.0
"""The longest time between two requests, and from the connection to the end of its first request's headers."""
_SEND_TIMEOUT_S: Final = 30.0
"""How long a client may take to read an answer. aiohttp alone would keep the answers for a client that never reads."""
_UNASKED_BYTES: Final = 384 << 10
"""How many bytes may arrive before the next request begins. aiohttp limits each header, but not all of them together.
This must be more than one read of 256 KiB, which may contain the start of a body. Bodies are not held, and `BODY_LIMIT`
limits them."""
_PIPELINED_BYTES: Final = 64 << 10
"""How many bytes may arrive while a request is being answered."""
_HEADERS: Final = 64
_HALF_CLOSED_S: Final = 1.0
"""How long a client that has closed its sending side may wait for its answer: `socat` and `nc -N` do this at once after
the request. Most other clients that do it have gone."""


class ConnectionLimiter:
    """The connections of one listener.

    If all places are taken, a new connection replaces the oldest one without a request in progress. Connections with a
    request in progress are replaced only if they hold more than three quarters of the places. Event streams have
    places of their own. If all of those are taken, a new stream replaces the oldest one.
    """

    def __init__(
        self, places: int | None = None, streams: int | None = None, *, patience_s: float = _SEND_TIMEOUT_S
    ) -> None:
        # Of the usual 1,024 file descriptors, both listeners together leave a third for the agent's own work.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._places: Final = places or min(_PLACES, descriptors // 8)
        self._stream_places: Final = streams or min(_STREAMS, descriptors // 8 * 7 // 4)
        self._patience_s: Final = patience_s
        # Ordered by connection time, and by the start of the request. Not by the latest request: a client that sends
        # requests without end would always be the newest, and new clients would be pushed out before their first.
        self._here: Final[dict[web.RequestHandler, asyncio.Transport]] = {}
        self._asking: Final[dict[web.RequestHandler, None]] = {}
        self._streams: Final[dict[web.RequestHandler, asyncio.Transport]] = {}

    def connected(self, connection: web.RequestHandler, transport: asyncio.Transport) -> None:
        if len(self._here) >= self._places:
            self.abort(self._least_urgent())
        self._here[connection] = transport

    def streaming(self, connection: "Connection") -> None:
        """Move the connection to the event streams: its answer is one."""
        if transport := self._here.pop(connection, None):
            self._asking.pop(connection, None)
            if len(self._streams) >= self._stream_places:
                self.abort(next(iter(self._streams)))
            self._streams[connection] = transport

    def abort(self, connection: web.RequestHandler) -> None:
        """Drop the connection at once. `close` would wait until the client has read everything."""
        if transport := self._here.get(connection) or self._streams.get(connection):
            transport.abort()
        self.closed(connection)

    def closed(self, connection: web.RequestHandler) -> None:
        for those in (self._here, self._asking, self._streams):
            those.pop(connection, None)

    def is_answering(self, connection: "Connection") -> bool:
        return connection in self._asking or connection in self._streams

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request as in progress until the client has read the answer."""
        connection = request.protocol
        self._mark_asking(connection)
        if isinstance(connection, Connection):
            connection.begin(request.content)
        try:
            response = await handler(request)
            await self._send(request, response)
        finally:
            self._mark_answered(connection)
        return response

    async def deliver(self, request: web.BaseRequest) -> None:
        """Wait until the client has read what was written of its answer, and drop it if that takes too long."""
        self._mark_asking(request.protocol)
        try:
            async with asyncio.timeout(self._patience_s):
                await request.writer.drain()
        except TimeoutError:
            self.abort(request.protocol)
        finally:
            self._mark_answered(request.protocol)

    async def _send(self, request: web.Request, response: web.StreamResponse) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await response.prepare(request)
                await response.write_eof()
                await request.writer.drain()
        except TimeoutError:
            self.abort(request.protocol)

    def _mark_asking(self, connection: web.RequestHandler) -> None:
        if connection in self._here:
            self._asking[connection] = None

    def _mark_answered(self, connection: web.RequestHandler) -> None:
        self._asking.pop(connection, None)
        transport = self._streams.pop(connection, None)
        if transport is not None and not transport.is_closing():
            self.connected(connection, transport)

    def _least_urgent(self) -> web.RequestHandler:
        idle = [connection for connection in self._here if connection not in self._asking]
        return idle[0] if len(idle) >= self._places // 4 or not self._asking else next(iter(self._asking))


class Connection(web.RequestHandler):
    """One connection. It counts the bytes that arrive, and is dropped if they are more than it may send."""

    def __init__(self, limiter: ConnectionLimiter, server: web.Server, log: logging.Logger) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server, loop=loop, keepalive_timeout=_IDLE_TIMEOUT_S, logger=log, access_log=log, max_headers=_HEADERS
        )
        self._limiter: Final = limiter
        self._unasked_bytes = 0
        self._behind_bytes = 0
        self._body: aiohttp.StreamReader | None = None

    def streaming(self) -> None:
        """Handle the answer as an event stream. No honest client sends much after the request for one."""
        if self._behind_bytes > _PIPELINED_BYTES:
            self._limiter.abort(self)
        else:
            self._limiter.streaming(self)

    def begin(self, body: aiohttp.StreamReader) -> None:
        """Start a request, whose headers are complete."""
        self._unasked_bytes, self._body = 0, body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            transport.set_write_buffer_limits(0)  # so that `drain` waits until everything is sent
            self._limiter.connected(self, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._limiter.closed(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's gives None, which closes in any case
        """Close now, or a little later if a request is in progress."""
        asked = self._waiter is None or self._waiter.done()
        if asked and self.transport is not None:
            self._loop.call_later(_HALF_CLOSED_S, self.transport.close)
        return asked

    def data_received(self, data: bytes) -> None:
        if self._body is None or self._body.is_eof():
            self._unasked_bytes += len(data)
        if self._unasked_bytes > (_PIPELINED_BYTES if self._limiter.is_answering(self) else _UNASKED_BYTES):
            self._limiter.abort(self)
        else:
            requests = self._request_count
            super().data_received(data)
            # Bytes behind the last whole request are in the read that completed it, and in the reads after it.
            # aiohttp also calls this without data, to continue with what it has buffered.
            if data:
                self._behind_bytes = len(data) + (self._behind_bytes if self._request_count == requests else 0)

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
        answer = error_response(status, code, HTTPStatus(status).phrase.lower(), {"X-Content-Type-Options": "nosniff"})
        answer.force_close()
        return answer
