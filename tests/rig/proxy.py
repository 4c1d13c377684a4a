"""A forward proxy that opens tunnels only for clients that send its password, and only if its rules allow it."""

import base64
import contextlib
import socket
import threading
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 65536
_PATIENCE_S: Final = 60.0


class Proxy:
    """Serves HTTP CONNECT on a free port of this machine, inside a `with` block.

    `login` is the user name and password that it requires, as `user:password`. `forbids`: its rules refuse every
    tunnel. Both may change while it runs.
    """

    def __init__(self, login: str, *, forbids: bool = False) -> None:
        self.login = login
        self.forbids = forbids
        self._socket: Final = socket.create_server(("127.0.0.1", 0))
        self.address: Final = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # makes `accept` return
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            client.settimeout(_PATIENCE_S)
            head = b""
            while b"\r\n\r\n" not in head:
                chunk = client.recv(_CHUNK)
                if not chunk:
                    return
                head += chunk
            known = b"Basic " + base64.b64encode(self.login.encode()) in head
            if not known or self.forbids:
                status = b"403 Not allowed" if known else b"407 Who are you"
                client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = head.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port)), _PATIENCE_S) as server:
                client.sendall(b"HTTP/1.1 200 There you go\r\n\r\n")
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join(_PATIENCE_S)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
