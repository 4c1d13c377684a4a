"""Raw requests to the status server and its guard, without a network."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.model.sensitive import Sensitive
from agent.model.snapshot import Snapshot
from agent.model.status import Phase
from agent.observe.timeline import Timeline
from agent.services.board import Board
from agent.settings import Settings, StatusSettings
from agent.web.document import StatusDocument
from agent.web.pages import Pages
from agent.web.routes import Routes
from agent.web.server import StatusServer
from tests.fakes import FakeClock, FakeLog, SameThreadLoop, process
from tests.fuzz.target import CANARY, Target, heap, scratch

if TYPE_CHECKING:
    import socket

_STATUS: Final = re.compile(rb"HTTP/[0-9]\.[0-9] ([0-9]{3}) ")
_EXPECTED: Final = frozenset({100, 200, 202, 204, 304, 400, 401, 403, 404, 405, 408, 411, 413, 414, 417, 431, 501, 505})
_TOKEN: Final = re.compile(rb"\r\n(?i:Authorization): (?i:Bearer) " + re.escape(CANARY.encode()))
_TURNS: Final = 25
_WITHOUT_TOKEN: Final = (
    b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n\r\n",
    b'GET /v1/status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer TOKEN\r\nIf-None-Match: W/"x", "y"\r\n\r\n',
    b"GET /v1/status?since=0&wait=0.1 HTTP/1.1\r\nHost: 127.0.0.1:8719\r\nAuthorization: bearer TOKEN\r\n\r\n",
    b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\nLast-Event-ID: 3\r\n\r\n",
    b"GET /v1/logs?lines=5 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n\r\n",
    (
        b"POST /v1/renew HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 22\r\n\r\n"
        b'{"hostname":"ghcr.io"}'
    ),
    (
        b"POST /v1/renew HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    (
        b"POST /v1/renew HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\nExpect: 100-continue\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    ),
    b"GET /livez HTTP/1.0\r\n\r\n",
    b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: \x96\r\n\r\n",
    (
        b"OPTIONS /v1/renew HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n"
        b"Access-Control-Request-Method: POST\r\n\r\n"
    ),
    b"GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
)
_SEEDS: Final = tuple(seed.replace(b"TOKEN", CANARY.encode()) for seed in _WITHOUT_TOKEN)
_WORDS: Final = (
    b"GET ",
    b"POST ",
    b"CONNECT ",
    b"/v1/renew",
    b"http://evil.example/v1/status",
    b"?since=",
    b"&wait=",
    b"%00",
    b"%ff",
    b"Host: ",
    b"Host: evil.example\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Origin: https://a.example\r\n",
    b'If-None-Match: "',
    b"HTTP/1.1\r\n",
    b"HTTP/9.9\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"{",
    b'{"hostname":',
    b'"ghcr.io"}',
    b"[" * 16,
    b"a: b\r\n",
    b"ffffffffffffffff\r\n",
    b"Cookie: a=",
    b";",
)


class _Wire(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 8719)})
        self.written: Final = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.extend(data)

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class _Renewals:
    def renew(self, hostname: str | None) -> list[str]:
        if hostname not in (None, "ghcr.io"):
            raise LookupError(hostname)
        return ["a1"]

    def recent(self, lines: int) -> Sequence[str]:
        return ['{"event":"x"}'] * min(lines, 3)

    def render(self, snapshot: Snapshot) -> tuple[bytes, str]:
        return b"%d" % snapshot.revision, "text/plain"


class _Deaf(asyncio.AbstractServer):
    """A server that does not listen."""

    def close(self) -> None:
        pass

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def is_serving(self) -> bool:
        return True

    async def start_serving(self) -> None:
        pass

    async def serve_forever(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


class _Loop(SameThreadLoop):
    """Keeps the sockets and their protocol factories, instead of listening."""

    def __init__(self) -> None:
        super().__init__()
        self.factories: Final[list[Callable[[], Any]]] = []
        self.sockets: Final[list[socket.socket]] = []
        self.faults: Final[list[dict[str, Any]]] = []
        self.set_exception_handler(lambda _, context: self.faults.append(context))

    async def create_server(self, protocol_factory: Any, *_args: Any, **options: Any) -> Any:
        self.factories.append(protocol_factory)
        self.sockets.append(options["sock"])
        return _Deaf()


class _Endpoint:
    """The server on TCP, where it requires a token."""

    def __init__(self) -> None:
        self._loop: Final = _Loop()
        self._log: Final = FakeLog()
        self._server: Final = self._new_server()
        self._now(self._server.start())
        for bound in self._loop.sockets:
            bound.close()
        # The first factory is for the Unix socket, which requires no token.
        self._connect: Final = self._loop.factories[-1]

    def check(self, data: bytes) -> None:
        self._now(self._ask(data))

    def _new_server(self) -> StatusServer:
        clock, renewals = FakeClock(), _Renewals()
        board = Board(process(), clock.now, FakeLog())
        board.set_phase(Phase.RUNNING)
        status = StatusSettings("127.0.0.1:0", Path("/token"), allow_origins=("https://a.example",))
        return StatusServer(
            board=board,
            routes=Routes(
                board,
                StatusDocument(clock),
                renew=renewals.renew,
                recent_events=renewals.recent,
                timeline=Timeline(str, clock.now).recent,
                metrics=renewals.render,
                pages=Pages(lambda: status.allow_origins),
            ),
            settings=lambda: Settings(status=status),
            read_token=_token,
            clock=clock,
            log=self._log,
            socket_path=scratch() / "agent.sock",
        )

    async def _ask(self, data: bytes) -> None:
        wire, connection = _Wire(), self._connect()
        connection.connection_made(wire)
        for begin in (0, len(data) // 2):
            # Send two packets. A request that is split in two is still the same request.
            part = data[begin : len(data) // 2] if not begin else data[begin:]
            if part and not wire.closed:
                connection.data_received(part)
                await _turns()
        await _turns()
        answer = bytes(wire.written)
        connection.connection_lost(None)
        await _turns()
        # An answer may quote a Host or a path. It may not quote the token if that is only in the Authorization header.
        hidden = data.count(CANARY.encode()) == len(_TOKEN.findall(data))
        self._judge(answer, CANARY if hidden else None)

    def _judge(self, answer: bytes, secret: str | None) -> None:
        assert not self._loop.faults, self._loop.faults
        assert "status.request_failed" not in self._log.names(), [
            event for event in self._log.events if event[0] == "error"
        ]
        assert secret is None or secret.encode() not in answer, answer
        if answer:
            first = _STATUS.match(answer)
            assert first is not None, answer[:200]
            assert int(first[1]) in _EXPECTED, answer[:200]
            head = answer.partition(b"\r\n\r\n")[0]
            assert b"\0" not in head
            assert b"\x1b" not in answer

    def _now(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)


async def _token(path: Path) -> Sensitive:
    assert path.is_absolute()
    return Sensitive(CANARY)


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def targets() -> tuple[Target, ...]:
    return (
        Target(
            "http-request",
            _Endpoint().check,
            _SEEDS,
            _WORDS,
            slowness=3,
            heaps=(
                heap(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n", b"A%d: b\r\n", b"\r\n"),
                heap(b"GET /v1/status?", b"a%d=b", b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"&"),
                heap(b"", b"GET /livez?%d HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
            ),
        ),
    )
