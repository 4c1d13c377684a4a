"""Whoever answers on the agent's socket: within the time that was given, whatever comes."""

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
    """Somebody who says `begin`, then `then` again and again, ten times a second, for ever."""
    over = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(begin)
                while then and not over.wait(0.1):
                    connection.sendall(then)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        over.set()
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
def test_an_answer_that_never_ends(tmp_path: Path, begin: bytes, then: bytes) -> None:
    """Each byte in time does not make the whole: the deadline holds for all of it, and is what is told."""
    began = time.monotonic()
    with (
        answering(tmp_path / "agent.sock", begin, then),
        pytest.raises(AgentNotResponding, match="gives no answer within 1 s"),
    ):
        AgentClient([tmp_path / "agent.sock"]).status(0.6)
    assert time.monotonic() - began < 60


def test_an_answer_that_is_no_agents(tmp_path: Path) -> None:
    """It is said in words, not in those of a parser."""
    with (
        answering(tmp_path / "agent.sock", b"HTTP/1.0 200 OK\r\n\r\nhello"),
        pytest.raises(AgentNotResponding, match="not the JSON that an agent gives"),
    ):
        AgentClient([tmp_path / "agent.sock"]).status(5)
