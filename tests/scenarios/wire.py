"""Faults of the connection to a registry, below HTTP."""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Final

from tests.codes.world import LOGIN, World
from tests.scenarios.fault import Caused, Fault
from tests.scenarios.registries import ELSEWHERE

Play = Callable[[socket.socket], None]

_PATIENCE_S: Final = 30.0
_HEAD: Final = b"HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 1000\r\n"


class Stage:
    """Passes each connection to `play`. With None, it accepts no connection, so connecting hangs."""

    def __init__(self, host: str, port: int, play: Play | None) -> None:
        self._play: Final = play
        self._over: Final = threading.Event()
        self._waiting: Final = contextlib.ExitStack()
        self._socket: Final = socket.create_server((host, port), backlog=0 if play is None else 50)
        if play is None:
            self._fill(port)
        else:
            threading.Thread(target=self._serve, name="stage", daemon=True).start()

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._waiting.close()

    def _fill(self, port: int) -> None:
        for _ in range(3):  # the kernel accepts one more than the backlog
            waiting = self._waiting.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", port))

    def _serve(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._socket.accept()
                threading.Thread(target=self._perform, args=(connection,), daemon=True).start()

    def _perform(self, connection: socket.socket) -> None:
        assert self._play is not None
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_PATIENCE_S)
            self._play(connection)
            self._over.wait(_PATIENCE_S)


def _says(answer: bytes) -> Play:
    """Answer after the request, then keep the connection open without sending more."""

    def play(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    return play


def _says_and_goes(answer: bytes) -> Play:
    def play(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    return play


# By name: where the server listens, what it does, and the expected code.
_PLAYS: Final[Mapping[str, tuple[str, Play | None, str]]] = {
    "never accepted": ("127.0.0.1", None, "registry_timeout"),
    "no answer in the TLS handshake": (ELSEWHERE, lambda _: None, "registry_timeout"),
    "no TLS where TLS is expected": (ELSEWHERE, _says_and_goes(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "registry_tls"),
    "closed without an answer": ("127.0.0.1", _says_and_goes(b""), "registry_unreachable"),
    "no answer after half a status line": ("127.0.0.1", _says(b"HTTP/1.1 2"), "registry_timeout"),
    "closed after half a status line": ("127.0.0.1", _says_and_goes(b"HTTP/1.1 2"), "registry_unreachable"),
    "no answer after half of the headers": ("127.0.0.1", _says(_HEAD), "registry_timeout"),
    "closed after half of the headers": ("127.0.0.1", _says_and_goes(_HEAD), "registry_unreachable"),
}


def _played(host: str, play: Play | None) -> Callable[[World], Caused]:
    """When the fault ends, the secret gets the registry's own host name, and the login works."""

    def cause(world: World) -> Caused:
        door = world.registry("stage")
        world.down(door.listener)
        stage = Stage(host, door.listener.port, play)
        world.cleanup.callback(stage.close)
        hostname = f"{host}:{door.listener.port}"
        world.agent.give(door.secret, hostname, **LOGIN)

        def fix() -> None:
            stage.close()
            world.up(door.listener)
            world.agent.give(door.secret, door.hostname, **LOGIN)

        return Caused(hostname, fix, (door.hostname,))

    return cause


def _faults(*, silent: bool) -> tuple[Fault, ...]:
    return tuple(
        Fault(f"the connection: {name}", code, _played(host, play))
        for name, (host, play, code) in _PLAYS.items()
        if silent == (code == "registry_timeout")
    )


WIRE: Final = _faults(silent=False)
SILENT_WIRE: Final = _faults(silent=True)
