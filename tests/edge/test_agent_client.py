"""Tests of the client of a running agent: it ends within its timeout, whatever the server sends."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.edge.agent_client import AgentClient, AgentNotResponding


@contextlib.contextmanager
def answering(place: Path, begin: bytes, then: bytes = b"") -> Iterator[None]:
    """Run a server that sends `begin`, and then `then` ten times a second, forever."""
    stop = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(begin)
                while then and not stop.wait(0.1):
                    connection.sendall(then)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        stop.set()
        thread.join(5)


@pytest.mark.parametrize(
    ("begin", "then"),
    [
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"{"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"{"),
    ],
    ids=["head", "body", "body-without-length"],
)
def test_an_endless_answer_ends_at_the_deadline(tmp_path: Path, begin: bytes, then: bytes) -> None:
    """The deadline is for the whole answer, even if each byte arrives in time. The error reports the deadline."""
    began = time.monotonic()
    with (
        answering(tmp_path / "agent.sock", begin, then),
        pytest.raises(AgentNotResponding, match="did not answer within 1 s"),
    ):
        AgentClient([tmp_path / "agent.sock"]).status(0.6)
    assert time.monotonic() - began < 60


def test_reports_an_answer_that_is_not_json(tmp_path: Path) -> None:
    """The error does not contain the message of the JSON parser."""
    with (
        answering(tmp_path / "agent.sock", b"HTTP/1.0 200 OK\r\n\r\nhello"),
        pytest.raises(AgentNotResponding, match="its answer is not valid JSON"),
    ):
        AgentClient([tmp_path / "agent.sock"]).status(5)
