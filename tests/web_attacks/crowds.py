"""Attacks on the status endpoint with many connections, and what they cost other clients."""

import contextlib
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from tests.rig.waiting import PATIENCE_S, throughout, until
from tests.web_attacks.pulse import Heard, Pulse
from tests.web_attacks.target import HOST, TOKEN, Target

DESCRIPTORS: Final = 1024
"""What systemd, containers and shells allow a process that does not ask for more."""
FEW_DESCRIPTORS: Final = 512
"""The agent then has fewer places for connections, so a smaller crowd fills them."""
GIGABYTE: Final = 1 << 30
LONGEST_MS: Final = 20_000
"""The limit for the slowest request. It takes less on a slow machine, and a starved request waits longer.

The time for which a busy machine gives the agent no processor does not count. The rest was 2.6 s on the slowest machine
that was measured, and three times as much next to busy loops, because the agent's own work takes longer there.
"""
GROWTH_MB: Final = 80
"""With few descriptors: 128 connections each for TCP and the socket, up to 0.3 MB each. Without a bound, gigabytes."""
_OTHERS: Final = 10
"""Descriptors that the agent may have open for its own work at that moment."""
_CHUNK: Final = b"x" * (1 << 20)
_HEAD: Final = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"


class Crowd:
    """Connections to one agent, all of them held until `close`."""

    def __init__(self, target: Target) -> None:
        self.target: Final = target
        self._held: Final = ExitStack()

    def close(self) -> None:
        self._held.close()

    def enter(self, *, unix: bool = False) -> socket.socket:
        """Open one more connection. The agent may already have dropped it."""
        connection = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self._held.enter_context(connection)
        if not unix:  # a Unix socket with a timeout does not wait for room in a full queue
            connection.settimeout(PATIENCE_S)
        connection.connect(str(self.target.socket) if unix else (HOST, self.target.port))
        connection.setblocking(False)
        return connection

    def shouting(self, number: int, request: bytes, *, unix: bool = False) -> list[socket.socket]:
        """Open `number` connections that send the same request at once and read nothing."""
        connections = []
        for _ in range(number):
            connections.append(self.enter(unix=unix))
            give(connections[-1], request)
        return connections


def give(connection: socket.socket, data: bytes) -> int:
    """Send as much of `data` as possible without waiting; 0 bytes if the agent has dropped the connection."""
    try:
        return connection.send(data)
    except OSError:
        return 0


def request(path: str, method: str = "GET", headers: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\n{_HEAD}{headers}\r\n".encode()


Attack = Callable[[Crowd, int], None]


def idle(crowd: Crowd, number: int) -> None:
    """Connections on TCP that send nothing."""
    crowd.shouting(number, b"")


def idle_on_the_socket(crowd: Crowd, number: int) -> None:
    """Connections on the Unix socket that send nothing."""
    crowd.shouting(number, b"", unix=True)


def dribbled_headers(crowd: Crowd, number: int) -> None:
    """Headers that arrive a byte at a time, and never end."""
    connections = crowd.shouting(number, b"GET /v1/status HTTP/1.1\r\nX-Slow: ")
    for _ in range(20):
        for connection in connections:
            give(connection, b"x")


def unfinished_header_bombs(crowd: Crowd, number: int) -> None:
    """As many and as long headers as the agent accepts, but never the empty line."""
    bomb = request("/v1/status", headers=_headers(120)).removesuffix(b"\r\n")
    _push(crowd.shouting(number, b""), bomb, rounds=20)


def logs_that_nobody_reads(crowd: Crowd, number: int) -> None:
    """Endless requests for the longest answer, of which no byte is read."""
    _push(crowd.shouting(number, b""), request("/v1/logs") * 2000, rounds=20)


def events_that_nobody_reads(crowd: Crowd, number: int) -> None:
    """Event streams of clients that never read."""
    crowd.shouting(number, request("/v1/events"))


def events_on_the_socket(crowd: Crowd, number: int) -> None:
    """The same on the Unix socket, whose buffers are small."""
    crowd.shouting(number, request("/v1/events"), unix=True)


def held_answers(crowd: Crowd, number: int) -> None:
    """Long polls that wait for the longest time."""
    revision = crowd.target.agent.status()["revision"]
    crowd.shouting(number, request(f"/v1/status?since={revision}&wait=60"))


def requests_behind_a_held_answer(crowd: Crowd, number: int) -> None:
    """Long polls, each followed by as many requests with long headers as the agent accepts."""
    revision = crowd.target.agent.status()["revision"]
    connections = crowd.shouting(number, request(f"/v1/status?since={revision}&wait=60"))
    _push(connections, request("/livez", headers=_headers(60)), rounds=20)


def bodies_that_never_come(crowd: Crowd, number: int) -> None:
    """Renewals with the right token, whose announced body never arrives."""
    crowd.shouting(number, request("/v1/renew", "POST", "Content-Length: 16000\r\n"))


def comers_and_goers(crowd: Crowd, number: int) -> None:
    """Connections that are reset directly after the request."""
    for connection in crowd.shouting(number, request("/metrics")):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()


CROWDS: Final = (
    idle,
    idle_on_the_socket,
    dribbled_headers,
    unfinished_header_bombs,
    logs_that_nobody_reads,
    events_that_nobody_reads,
    events_on_the_socket,
    held_answers,
    requests_behind_a_held_answer,
    bodies_that_never_come,
    comers_and_goers,
)


def bombs(size: int) -> dict[str, Iterator[bytes]]:
    """Return requests of about `size` bytes by name, in pieces. Each is far larger than the agent allows."""
    chunked = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
    length = f"Content-Length: {size}\r\n"
    chunk = b"%x\r\n%b\r\n" % (len(_CHUNK), _CHUNK)
    many = b"".join(b"X-%d: y\r\n" % n for n in range(100_000))
    return {
        "a body": _pieces(request("/v1/renew", "POST", length), _CHUNK, size),
        "a body in chunks": _pieces(request("/v1/renew", "POST", chunked), chunk, size),
        "a body without the token": _pieces(
            request("/v1/renew", "POST", length).replace(b"Bearer", b"B"), _CHUNK, size
        ),
        "a body of a GET": _pieces(request("/v1/status", "GET", length), _CHUNK, size),
        "a body for a probe": _pieces(request("/livez", "GET", chunked), chunk, size),
        "headers": _pieces(b"GET /v1/status HTTP/1.1\r\n", many, size),
        "one header": _pieces(b"GET /v1/status HTTP/1.1\r\nX: ", _CHUNK, size),
        "a path": _pieces(b"GET /", _CHUNK, size),
        "a chunk's size": _pieces(request("/v1/renew", "POST", chunked), b"0" * (1 << 20), size),
        "a chunk's extension": _pieces(request("/v1/renew", "POST", chunked) + b"1;", _CHUNK, size),
        "trailers": _pieces(request("/v1/renew", "POST", chunked) + b"0\r\n", many, size),
        "a request that is none": _pieces(b"", b"\0" * (1 << 20), size),
    }


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many bytes the agent accepted, and the first line of its answer, if there was one."""

    taken: int
    answer: str


def drop(target: Target, bomb: Iterator[bytes]) -> Dropped:
    """Send until the agent closes the connection."""
    taken = 0
    answer = b""
    with socket.create_connection((HOST, target.port), timeout=PATIENCE_S) as connection:
        with contextlib.suppress(ConnectionError):
            for piece in bomb:
                connection.sendall(piece)
                taken += len(piece)
        with contextlib.suppress(ConnectionError):
            answer = connection.recv(4096)
    return Dropped(taken, answer.partition(b"\r\n")[0].decode())


@dataclass(frozen=True, slots=True)
class Endured:
    """Memory in MB before, at the highest measured moment, and after."""

    heard: Heard
    before_mb: float
    held_mb: float
    after_mb: float
    descriptors: int

    def check(self) -> None:
        """Check that all other clients were served, and that the agent's memory did not grow."""
        assert self.heard.silences == [], str(self.heard.silences)
        assert self.heard.longest_ms < LONGEST_MS, str(self)
        assert self.held_mb - self.before_mb < GROWTH_MB, str(self)

    def __str__(self) -> str:
        memory = f"memory {self.before_mb:.0f} MB, {self.held_mb:.0f} MB under attack, {self.after_mb:.0f} MB after"
        return f"{self.heard}, {memory}, descriptors at most {self.descriptors}"


def endure(target: Target, attack: Attack, number: int, hold_s: float) -> Endured:
    """Run the attack for `hold_s`, request a renewal meanwhile, end it, and wait until no connection is left."""
    quiet = target.descriptors()
    crowd = Crowd(target)
    before = held = target.memory_mb()

    def looks_well() -> bool:
        nonlocal held
        held = max(held, target.memory_mb())
        return target.agent.running

    with Pulse(target.port, target.socket, target.pid) as pulse:
        try:
            attack(crowd, number)
            throughout(hold_s, looks_well)
            descriptors = target.descriptors()
            assert target.agent.renew(target.hostname)["state"] == "logged_in"
            assert looks_well()
        finally:
            crowd.close()
        heard = pulse.stop()
    until("the end of the crowd's connections", lambda: target.descriptors() <= quiet + _OTHERS)
    endured = Endured(heard, before, held, target.memory_mb(), descriptors)
    endured.check()
    return endured


def limit(descriptors: int) -> tuple[str, str]:
    """Return the prefix of the agent's command that limits its file descriptors."""
    return ("prlimit", f"--nofile={descriptors}:{descriptors}")


def may_open_many() -> None:
    """Raise this process's own limit of file descriptors, for the attackers, as far as possible."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _pieces(head: bytes, piece: bytes, size: int) -> Iterator[bytes]:
    yield head
    for _ in range(max(1, size // len(piece))):
        yield piece


def _headers(number: int) -> str:
    """Return headers that are each nearly as long as allowed."""
    return "".join(f"X-{index}: {'x' * 8000}\r\n" for index in range(number))


def _push(connections: list[socket.socket], data: bytes, rounds: int) -> None:
    """Send `data` again and again on each connection, as much as the agent accepts."""
    sent = [0] * len(connections)
    for _ in range(rounds):
        for index, connection in enumerate(connections):
            sent[index] += give(connection, data[sent[index] % len(data) :])
