"""Server-sent events: sends the status document at once and at every change, until the client leaves."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from agent.model.snapshot import Snapshot
from agent.model.status import Phase
from agent.services.ports import Board, StatusDocument

_COMMENT_EVERY_S: Final = 15.0
"""The time between two comments while nothing changes."""
_PATIENCE_S: Final = 30.0
"""How long a client may leave its buffers full before it is dropped."""


@dataclass(eq=False)
class EventStream:
    """Streams to each client independently. A slow client skips documents, and gets the newest when it reads again."""

    board: Board
    document: StatusDocument
    comment_every_s: float = _COMMENT_EVERY_S
    patience_s: float = _PATIENCE_S
    _written: bytes = field(default=b"", init=False)
    _frame: bytes = field(default=b"", init=False)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        # X-Accel-Buffering: proxies that forward ports would otherwise hold events back until a buffer is full.
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await self._stream(response)
        except TimeoutError:
            # `close` would wait until the client has read everything.
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _stream(self, response: web.StreamResponse) -> None:
        snapshot = self.board.snapshot
        await self._write(response, self._event(snapshot))
        while snapshot.phase is not Phase.STOPPING:
            newer = await self._next(snapshot.revision)
            await self._write(response, b": still here\n\n" if newer is None else self._event(newer))
            snapshot = newer or snapshot

    async def _next(self, revision: int) -> Snapshot | None:
        try:
            async with asyncio.timeout(self.comment_every_s):
                return await self.board.changed(revision)
        except TimeoutError:
            return None

    async def _write(self, response: web.StreamResponse, frame: bytes) -> None:
        async with asyncio.timeout(self.patience_s):
            await response.write(frame)

    def _event(self, snapshot: Snapshot) -> bytes:
        """Return the document's event. It is built once per document, however many clients read it."""
        document = self.document.encode(snapshot)
        if document is not self._written:
            self._written = document
            self._frame = b"event: status\nid: %d\ndata: %b\n\n" % (snapshot.revision, document)
        return self._frame
