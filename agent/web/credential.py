"""The request of the credential helper. It exists on the Unix socket only, for the agent's own user and root."""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from aiohttp import web

from agent.model.helper_reply import HelperReply, busy, forbidden, refused, unavailable
from agent.services.ports import Log
from agent.web.connections import places

_BODY_S: Final = 5.0
_LONGEST: Final = 64 << 10
"""The program sends no more than this as one request. A request with a password is longer than any other."""
_START_S: Final = 13.0
"""How long a request waits until an agent that has just started is loaded."""
_PEER: Final = struct.Struct("3i")
"""Process, user and group of the other end (unix(7), SO_PEERCRED)."""

Answer = Callable[[str, str, int], Awaitable[HelperReply]]
"""Answers an action and its body, for a process."""


class _Peer(NamedTuple):
    pid: int
    uid: int
    gid: int


class CredentialRoute:
    """Answers `POST /v1/credential`, once `connect` was called.

    The mode of the socket's file is not enough here: it also admits the group that may read the status.
    """

    def __init__(self, log: Log, user: str) -> None:
        # If waiting requests took every connection, new ones would push out the oldest.
        self._most: Final = places() * 3 // 4
        self._waiting = 0
        self._log: Final = log
        self._user: Final = user
        self._answer: Answer | None = None
        self._connected: Final = asyncio.Event()

    def connect(self, answer: Answer) -> None:
        """Answer with this from now on."""
        self._answer = answer
        self._connected.set()

    def table(self) -> list[web.RouteDef]:
        return [web.post("/v1/credential", self._credential)]

    async def _credential(self, request: web.Request) -> web.Response:
        # The kernel knows who connected, so a client cannot pretend to be another user.
        peer = _peer(request)
        if peer is None or peer.uid not in (0, os.geteuid()):
            pid, uid = (peer.pid, peer.uid) if peer is not None else (None, None)
            self._log.info("credential.forbidden", pid=pid, uid=uid)
            return _response(forbidden(self._user))
        action = request.query.get("action", "get")
        if self._waiting >= self._most:
            return _response(self._record(busy(), action, peer.pid))
        self._waiting += 1
        try:
            body = await self._body(request)
            if isinstance(body, HelperReply):
                return _response(self._record(body, action, peer.pid))
            assert self._answer is not None  # noqa: S101 - it is set before the event
            return _response(await self._answer(action, body, peer.pid))
        finally:
            self._waiting -= 1

    def _record(self, reply: HelperReply, action: str, pid: int) -> HelperReply:
        """Count a reply that is given here, before the registry is known."""
        self._log.debug("credential.answered", registry=None, action=action, outcome=reply.outcome, pid=pid)
        return reply

    async def _body(self, request: web.Request) -> str | HelperReply:
        """Return the request's body once the agent is loaded, or why it cannot be answered."""
        try:
            async with asyncio.timeout(_BODY_S):
                body = (await request.clone(client_max_size=_LONGEST).read()).decode(errors="replace")
        except TimeoutError:
            return unavailable(f"the request was not complete after {_BODY_S:.0f} s; try again")
        except web.HTTPRequestEntityTooLarge:
            return refused("the request is too long")
        try:
            async with asyncio.timeout(_START_S):
                await self._connected.wait()
        except TimeoutError:
            return unavailable("registry-agent is still starting; try again in a moment")
        return body


def _response(reply: HelperReply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, content_type="text/plain", charset="utf-8")


def _peer(request: web.Request) -> _Peer | None:
    """Return who has connected. None if the connection is already gone."""
    connection = request.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    return _Peer(*_PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)))
