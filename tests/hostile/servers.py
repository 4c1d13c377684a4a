"""Servers that send arbitrary bytes."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

Speak = Callable[[socket.socket, bytes], None]

_PATIENCE_S: Final = 120.0


class Raw:
    """Serves each connection in its own thread: reads one request, and lets `speak` answer it.

    `speak` may be changed at any time. `requests` keeps the requests: the heads, and the beginnings of the bodies.
    """

    def __init__(self, speak: Speak, host: str = "127.0.0.1") -> None:
        self.speak = speak
        self.requests: Final[list[bytes]] = []
        self._socket: Final = socket.create_server((host, 0))
        self.address: Final = f"{host}:{self._socket.getsockname()[1]}"
        self.url: Final = f"http://{self.address}"
        self._thread: Final = threading.Thread(target=self._accept, name="raw", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._thread.join()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_PATIENCE_S)
            request = connection.recv(1 << 16)
            self.requests.append(request)
            self.speak(connection, request)


@contextmanager
def raw(speak: Speak) -> Iterator[Raw]:
    server = Raw(speak)
    try:
        yield server
    finally:
        server.close()


def says(answer: bytes) -> Speak:
    return lambda connection, _: connection.sendall(answer)


def reply(body: bytes, *headers: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), b"Connection: close"]
    return b"\r\n".join([*head, *headers, b"", body])


def endless(connection: socket.socket, _request: bytes) -> None:
    """Send 10 GB, if the client takes them."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10737418240\r\n\r\n")
    for _ in range(10 << 14):
        connection.sendall(b" " * 65536)


def slow(connection: socket.socket, _: bytes) -> None:
    """Send a byte every 0.2 s. That resets every timeout, except one for the whole answer."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
    waiting = threading.Event()
    while not waiting.wait(0.2):
        connection.sendall(b" ")


def silent(connection: socket.socket, _: bytes) -> None:
    """Send nothing for as long as the client waits."""
    connection.recv(1)


def endless_head(connection: socket.socket, _: bytes) -> None:
    """Send headers without end, as fast as the client takes them."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: and more\r\n" * 1000)


def slow_head(connection: socket.socket, _: bytes) -> None:
    """Send a byte of a header every 0.2 s."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
    waiting = threading.Event()
    while not waiting.wait(0.2):
        connection.sendall(b"x")


def through(address: str) -> Speak:
    """Return a `Speak` that forwards everything to the server at `address`, and its answers back."""
    host, port = address.rsplit(":", 1)

    def speak(connection: socket.socket, request: bytes) -> None:
        with socket.create_connection((host, int(port))) as other:
            other.sendall(request)
            pairs = {connection: other, other: connection}
            while True:
                for ready in select.select([*pairs], [], [], _PATIENCE_S)[0]:
                    if not (data := ready.recv(1 << 16)):
                        return
                    pairs[ready].sendall(data)

    return speak
