"""Artificial faults of a simulated server, and how each one looks on the wire."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Answer:
    """The same answer to every request: `Answer(429, headers={"Retry-After": "7"})`."""

    status: int
    body: str = ""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


class Broken(Enum):
    """A connection that never returns an answer."""

    SILENT = "silent"
    """The request is read and never answered."""
    RESET = "reset"
    """The connection is reset (RST) after the request."""


Fault = Answer | Broken

GARBAGE: Final = Answer(200, '{"unfinished": ', "application/json")
CAPTIVE_PORTAL: Final = Answer(200, "<html><title>Welcome to the hotel</title>Please sign in.</html>", "text/html")
CAPTIVE_REDIRECT: Final = Answer(302, headers={"Location": "http://portal.example/login"})

_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


async def act_out(fault: Fault, request: web.BaseRequest) -> web.StreamResponse:
    """Answer `request` with `fault`. A silent one ends when the client disconnects or the listener goes down."""
    if isinstance(fault, Answer):
        return web.Response(
            status=fault.status, text=fault.body, content_type=fault.content_type, headers=fault.headers
        )
    if fault is Broken.SILENT:
        await asyncio.Event().wait()
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # With a linger time of 0, closing the socket sends an RST.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        transport.abort()
    return web.Response()
