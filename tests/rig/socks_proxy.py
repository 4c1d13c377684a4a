"""A SOCKS5 proxy (RFC 1928), as `ssh -D` opens one."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import BinaryIO, Final, Self

_CHUNK: Final = 65536
_PATIENCE_S: Final = 60.0


class SocksProxy:
    """Serves SOCKS5 on a free port of this machine, inside a `with` block.

    Args:
        login: the user name and password that it requires, as `user:password`.
        refusal: the code with which it refuses every connection; 0 for none.
        target: where it connects to instead of the requested address.
    """

    def __init__(self, login: str = "", *, refusal: int = 0, target: tuple[str, int] | None = None) -> None:
        self._login: Final = login
        self._refusal: Final = refusal
        self._target: Final = target
        self._socket: Final = socket.create_server(("127.0.0.1", 0))
        self.address: Final = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.requested: Final[list[tuple[str, int]]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, name="socks", daemon=True).start()
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
            threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        client.settimeout(_PATIENCE_S)
        with client, client.makefile("rb") as stream, contextlib.suppress(OSError, IndexError):
            methods = stream.read(stream.read(2)[1])
            wanted = 2 if self._login else 0
            if wanted not in methods:
                client.sendall(b"\x05\xff")
                return
            client.sendall(bytes([5, wanted]))
            if self._login and not self._logs_in(client, stream.read(2)[1], stream):
                return
            kind = stream.read(4)[3]
            if kind == 3:
                host = stream.read(stream.read(1)[0]).decode()
            else:
                host = socket.inet_ntop(
                    *((socket.AF_INET, stream.read(4)) if kind == 1 else (socket.AF_INET6, stream.read(16)))
                )
            port = int.from_bytes(stream.read(2), "big")
            self.requested.append((host, port))
            client.sendall(bytes([5, self._refusal, 0, 1, 0, 0, 0, 0, 0, 0]))
            if not self._refusal:
                self._tunnel(client, self._target or (host, port))

    def _logs_in(self, client: socket.socket, size: int, stream: BinaryIO) -> bool:
        read = stream.read
        user = read(size).decode()
        given = f"{user}:{read(read(1)[0]).decode()}"
        client.sendall(bytes([1, given != self._login]))
        return given == self._login

    def _tunnel(self, client: socket.socket, target: tuple[str, int]) -> None:
        with socket.create_connection(target, _PATIENCE_S) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join(_PATIENCE_S)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
