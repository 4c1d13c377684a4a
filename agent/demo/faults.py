"""Faults that a pretend server can be told to have, and how each is acted out on the wire."""

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
    """One answer to whatever is asked: `Answer(429, headers={"Retry-After": "7"})`."""

    status: int
    body: str = ""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


class Broken(Enum):
    """A connection that gives no answer at all."""

    SILENT = "silent"
    """Accepted, read, never answered."""
    RESET = "reset"
    """Cut with an RST after the request."""


Fault = Answer | Broken

GARBAGE: Final = Answer(200, '{"unfinished": ', "application/json")
CAPTIVE_PORTAL: Final = Answer(200, "<html><title>Welcome to the hotel</title>Please sign in.</html>", "text/html")
CAPTIVE_REDIRECT: Final = Answer(302, headers={"Location": "http://portal.example/login"})

_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


async def act_out(fault: Fault, request: web.BaseRequest) -> web.StreamResponse:
    """Answer `request` as `fault` says. A silent one ends when the client goes away or the port goes down."""
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
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        transport.abort()
    return web.Response()
