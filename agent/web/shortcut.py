"""A fast path around the framework for the request that dashboards send all day: a plain `GET /v1/status`.

aiohttp's middlewares, router and response cost more than everything else in such a request. The answer is the same to
the byte. Every other request takes the normal path.
"""

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Final

from aiohttp import HttpVersion11, web

from agent.services.ports import Board, StatusDocument
from agent.web.connections import Connection, ConnectionLimiter
from agent.web.guard import Guard
from agent.web.responses import SECURITY_HEADERS

_PATH: Final = "/v1/status"
_SPECIAL: Final = ("If-None-Match", "Expect", "Upgrade")
"""Headers that may require another answer, or another way to send it."""
Ordinary = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class StatusAnswer:
    """The bytes of the plain answer, headers and document. They are built once per document, for all clients."""

    def __init__(self, board: Board, document: StatusDocument) -> None:
        self._board: Final = board
        self._document: Final = document
        self._body = b""
        self._whole = b""

    def __call__(self) -> bytes:
        snapshot = self._board.snapshot
        body = self._document.encode(snapshot)
        if body is not self._body:
            head = {
                "ETag": snapshot.etag,
                "Content-Type": "application/json; charset=utf-8",
                "Content-Length": len(body),
                "Date": formatdate(usegmt=True),
                **SECURITY_HEADERS,
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
            self._body, self._whole = body, f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body
        return self._whole


class Shortcut:
    """Handles requests before the framework does. `guard` is None on the Unix socket, which its file mode protects."""

    def __init__(
        self, answer: StatusAnswer, limiter: ConnectionLimiter, guard: Guard | None, ordinary: Ordinary
    ) -> None:
        self._answer: Final = answer
        self._limiter: Final = limiter
        self._guard: Final = guard
        self._ordinary: Final = ordinary

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection, transport = request.protocol, request.transport
        if (
            request.raw_path != _PATH
            or not isinstance(connection, Connection)
            or transport is None
            or transport.is_closing()
            or not self._is_plain(request)
        ):
            return await self._ordinary(request)
        try:
            answer = self._answer()
        except Exception:  # noqa: BLE001 - the normal path fails in the same way, and reports it
            return await self._ordinary(request)
        connection.begin(request.content)
        transport.write(answer)
        if connection.writing_paused:
            await self._limiter.deliver(request)
        return _WRITTEN

    def _is_plain(self, request: web.BaseRequest) -> bool:
        return (
            request.method == "GET"
            and request.version == HttpVersion11
            and request.keep_alive
            and not request.body_exists
            and not any(name in request.headers for name in _SPECIAL)
            and (self._guard is None or self._guard.allows(request))
        )


class _Written(web.StreamResponse):
    """A response for aiohttp, which requires one, although everything is already written to the connection."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: the headers are written."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body is written."""

    @property
    def keep_alive(self) -> bool:
        return True


_WRITTEN: Final = _Written()
