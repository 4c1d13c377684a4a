"""A status server on real sockets, with a real board behind it."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from agent.edge.token_file import read_token
from agent.model.problem import Problem
from agent.model.snapshot import Process, Snapshot
from agent.model.status import RegistryStatus, State
from agent.observe.counters import Counters
from agent.observe.metrics import Metrics
from agent.observe.timeline import Timeline
from agent.services.board import Board
from agent.settings import Settings, StatusSettings
from agent.web.credential import CredentialRoute
from agent.web.document import StatusDocument
from agent.web.pages import Pages
from agent.web.routes import Routes
from agent.web.server import StatusServer
from tests.fakes import EPOCH, FakeClock, FakeLog, process
from tests.rig.waiting import PATIENCE_S


class Renewals:
    """Knows ghcr.io, and records the requested renewals."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def renew(self, hostname: str | None) -> list[str]:
        if hostname not in (None, "ghcr.io"):
            raise LookupError(hostname)
        self.asked.append(hostname)
        return ["a1"]


class Lines:
    def recent(self, lines: int) -> list[str]:
        return [f'{{"event": "n{number}"}}' for number in range(1200)][-lines:]


class RecentLines(Protocol):
    def recent(self, lines: int) -> Sequence[str]: ...


class BrokenMetrics:
    def render(self, snapshot: Snapshot) -> tuple[bytes, str]:
        raise ZeroDivisionError(f"secret-in-a-traceback {snapshot.revision}")


@dataclass
class Serving:
    """A server. `status` may be changed while it runs, as a reload of the settings does."""

    directory: Path
    status: StatusSettings = field(default_factory=lambda: StatusSettings(listen="127.0.0.1:0"))
    clock: FakeClock = field(default_factory=FakeClock)
    log: FakeLog = field(default_factory=FakeLog)
    renewals: Renewals = field(default_factory=Renewals)
    lines: RecentLines = field(default_factory=Lines)
    broken: bool = False
    inherited: Sequence[socket.socket] = ()
    not_inherited: Sequence[Problem] = ()
    process: Process = field(default_factory=process)

    def __post_init__(self) -> None:
        self.board = Board(self.process, self.clock.now, FakeLog())
        self.document = StatusDocument(self.clock)
        self.socket = self.directory / "agent.sock"
        metrics = BrokenMetrics() if self.broken else Metrics(Counters(), lambda: 0)
        self.timeline = Timeline(str, self.clock.now)
        pages = Pages(lambda: self.status.allow_origins)
        self.routes = Routes(
            self.board,
            self.document,
            renew=self._renew,
            recent_events=self._recent_events,
            timeline=self.timeline.recent,
            metrics=metrics.render,
            pages=pages,
        )
        self.credential_route = CredentialRoute(self.log, self.process.user)
        self.server = StatusServer(
            board=self.board,
            routes=self.routes,
            socket_routes=self.credential_route.table(),
            settings=lambda: Settings(status=self.status),
            read_token=read_token,
            clock=self.clock,
            log=self.log,
            socket_path=self.socket,
            inherited=self.inherited,
            not_inherited=self.not_inherited,
        )

    def _recent_events(self, lines: int) -> Sequence[str]:
        return self.lines.recent(lines)

    def _renew(self, hostname: str | None) -> list[str]:
        return self.renewals.renew(hostname)  # looked up now, because tests replace it

    @property
    def port(self) -> int:
        return self.server.tcp_addresses[0][1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log_in(self, hostname: str = "ghcr.io", state: State = State.LOGGED_IN) -> None:
        self.board.put_registry(RegistryStatus(hostname, "team", "project", "basic", EPOCH, state))

    def use_token(self, token: str) -> Path:
        path = self.directory / "token"
        path.write_text(token + "\n")
        return path

    @asynccontextmanager
    async def on_tcp(self) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession(self.url) as session:
            yield session

    @asynccontextmanager
    async def on_socket(self) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.UnixConnector(str(self.socket))
        async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
            yield session


@asynccontextmanager
async def serving(
    status: StatusSettings | None = None, *, directory: Path | None = None, **options: Any
) -> AsyncIterator[Serving]:
    """Start a server, and close it at the end. Its directory's name is short, because a socket's path must be.

    `options` are further fields of `Serving`.
    """
    with tempfile.TemporaryDirectory(prefix="ra-") as fresh:
        rig = Serving(directory or Path(fresh), status or StatusSettings(listen="127.0.0.1:0"), **options)
        await rig.server.start()
        try:
            yield rig
        finally:
            await rig.server.close()


async def raw(rig: Serving, request: bytes) -> bytes:
    """Send these bytes over TCP, and return the answer up to the end of the first JSON or of the connection.

    After the first bytes it waits two seconds at most for more.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(request)
    answer = bytearray()
    try:
        while not answer.endswith(b"}"):
            async with asyncio.timeout(2 if answer else PATIENCE_S):
                chunk = await reader.read(65536)
            if not chunk:
                break
            answer += chunk
    except TimeoutError:
        pass
    finally:
        writer.close()
    return bytes(answer)
