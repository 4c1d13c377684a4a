"""Who is connected, and how much of the agent each may use up: whoever asks now goes before whoever only waits."""

import asyncio
import logging
import resource
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web

from agent.web.responses import Handler, error_response

BACKLOG: Final = 4096
"""How many may wait at the door: on the socket whoever finds the queue full is refused, on TCP it loses a second.

Linux allows no more by itself."""
AT_ONCE: Final = 4
"""How many are let in at a time: few beside the places, so that each gets to ask before others push it out."""
_PLACES: Final = 128
"""For each of TCP and the socket: an environment has a handful of readers, and each could pin some 0.5 MB."""
_STREAMS: Final = 224
"""Event streams of each listener, beside the places: a dashboard of many people may hold 200. Each pins a quarter of
what the others may, twice `_PIPELINED_BYTES`: behind its request, and while it is answered."""
_SILENCE_S: Final = 75.0
"""Between two requests, and from a connection to the end of its first request's headers."""
_PATIENCE_S: Final = 30.0
"""How long an answer may wait to be taken; aiohttp alone would keep every answer for whoever asks and never reads."""
_UNASKED_BYTES: Final = 384 << 10
"""What may come before the next request is begun: aiohttp bounds each header, and not all of them together. It must
be more than one read, 256 KiB, with which a body begins. Bodies themselves pass by unheld, up to `BODY_LIMIT`."""
_PIPELINED_BYTES: Final = 64 << 10
"""What may come while a request is being answered."""
_HEADERS: Final = 64
_LISTENS_S: Final = 1.0
"""How long whoever says no more may wait for its answer: `socat` and `nc -N` end their side at once. Most have gone."""


class ConnectionLimiter:
    """The connections of one listener.

    When all places are taken a newcomer gets that of whoever came first and is not being answered. Those who wait for
    an answer keep theirs until they hold three quarters of all. Event streams have places of their own; when all of
    those are taken the oldest stream goes.
    """

    def __init__(
        self, places: int | None = None, streams: int | None = None, *, patience_s: float = _PATIENCE_S
    ) -> None:
        # Of the usual 1,024 descriptors both listeners leave a third to the agent's own work.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._places: Final = places or min(_PLACES, descriptors // 8)
        self._stream_places: Final = streams or min(_STREAMS, descriptors // 8 * 7 // 4)
        self._patience_s: Final = patience_s
        # In the order of their coming, and of their asking. Not by their last request: whoever asks without end would
        # always be the latest, and push out a newcomer before its first.
        self._here: Final[dict[web.RequestHandler, asyncio.Transport]] = {}
        self._asking: Final[dict[web.RequestHandler, None]] = {}
        self._streams: Final[dict[web.RequestHandler, asyncio.Transport]] = {}

    def connected(self, connection: web.RequestHandler, transport: asyncio.Transport) -> None:
        if len(self._here) >= self._places:
            self.abort(self._least_urgent())
        self._here[connection] = transport

    def streaming(self, connection: "Connection") -> None:
        """Its answer is an event stream."""
        if transport := self._here.pop(connection, None):
            self._asking.pop(connection, None)
            if len(self._streams) >= self._stream_places:
                self.abort(next(iter(self._streams)))
            self._streams[connection] = transport

    def abort(self, connection: web.RequestHandler) -> None:
        """At once: `close` would first wait until everything is read."""
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
        """A request lasts until its answer has been taken."""
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
        """Wait until what was written of an answer has been taken."""
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
        silent = [connection for connection in self._here if connection not in self._asking]
        return silent[0] if len(silent) >= self._places // 4 or not self._asking else next(iter(self._asking))


class Connection(web.RequestHandler):
    """One connection."""

    def __init__(self, limiter: ConnectionLimiter, server: web.Server, log: logging.Logger) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server, loop=loop, keepalive_timeout=_SILENCE_S, logger=log, access_log=log, max_headers=_HEADERS
        )
        self._limiter: Final = limiter
        self._unasked_bytes = 0
        self._behind_bytes = 0
        self._body: aiohttp.StreamReader | None = None

    def streaming(self) -> None:
        """What it is being answered is an event stream: nobody who wants one sends more with it."""
        if self._behind_bytes > _PIPELINED_BYTES:
            self._limiter.abort(self)
        else:
            self._limiter.streaming(self)

    def begin(self, body: aiohttp.StreamReader) -> None:
        """A request, whose headers are complete."""
        self._unasked_bytes, self._body = 0, body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            transport.set_write_buffer_limits(0)  # so that `drain` ends when all is taken
            self._limiter.connected(self, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._limiter.closed(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's gives None, which closes in any case
        """Close now, or soon where something was asked."""
        asked = self._waiter is None or self._waiter.done()
        if asked and self.transport is not None:
            self._loop.call_later(_LISTENS_S, self.transport.close)
        return asked

    def data_received(self, data: bytes) -> None:
        if self._body is None or self._body.is_eof():
            self._unasked_bytes += len(data)
        if self._unasked_bytes > (_PIPELINED_BYTES if self._limiter.is_answering(self) else _UNASKED_BYTES):
            self._limiter.abort(self)
        else:
            requests = self._request_count
            super().data_received(data)
            # What has come behind the last whole request lies in the piece that ended it, and in those after it.
            # With nothing at all aiohttp only goes on with what it has.
            if data:
                self._behind_bytes = len(data) + (self._behind_bytes if self._request_count == requests else 0)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP: aiohttp's own answer would quote it, which may be a token."""
        if request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, UnicodeError):
            # aiohttp quotes an Expect that it does not know, and cannot write what is no text.
            status = HTTPStatus.BAD_REQUEST
        fault = "bad_request" if status == HTTPStatus.BAD_REQUEST else "request_failed"
        answer = error_response(status, fault, HTTPStatus(status).phrase.lower(), {"X-Content-Type-Options": "nosniff"})
        answer.force_close()
        return answer
