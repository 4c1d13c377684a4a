"""A control plane's ETag: text from outside that the agent sends back."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.codes.world import World
from tests.rig.waiting import until

_LONG = b'"' + b"a" * 7000 + b'"'


class Plane:
    """Answers each request with the same headers, and keeps the requests."""

    def __init__(self) -> None:
        self.etag = b""
        self.asked: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        body = json.dumps({"secrets": []}).encode()
        while True:
            try:
                visitor, _ = self.socket.accept()
            except OSError:
                return
            with visitor, suppress(OSError):
                self.asked.append(visitor.recv(65536))
                head = b"HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n" % (self.etag, len(body))
                visitor.sendall(head + body)


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    with closing(plane.socket):
        yield plane
        plane.socket.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("etag", [b'"a\x01b"', b'"a\xffb"', _LONG, b'"\x1b[2J"', b"\xe2\x80\xae"])
def test_an_etag_that_no_request_can_carry(world: World, plane: Plane, etag: bytes) -> None:
    """It is dropped. The agent goes on polling, and asks for each answer as a whole."""
    plane.etag = etag
    world.start({"secrets": {"url": plane.url, "poll_interval_s": 0.1}})
    until("several polls", lambda: len(plane.asked) > 5)
    assert not [request for request in plane.asked if b"if-none-match" in request.lower()]
    assert {w["code"] for w in world.agent.status()["warnings"]} <= {"engine_unreachable"}
    world.nothing_stopped()


def test_an_etag_like_any_other(world: World, plane: Plane) -> None:
    """It is sent back unchanged."""
    plane.etag = b'W/"2026 / 42"'
    world.start({"secrets": {"url": plane.url, "poll_interval_s": 0.1}})
    until("several polls", lambda: len(plane.asked) > 5)
    assert b'If-None-Match: W/"2026 / 42"\r\n' in plane.asked[-1]
