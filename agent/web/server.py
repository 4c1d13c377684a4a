"""Serves the status over HTTP: on the Unix socket, protected by its file mode, and on TCP, protected by the guard."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from aiohttp import web

from agent.blocking import BlockingCalls, NoThreadError, OngoingCall
from agent.model.commands import shown
from agent.model.problem import Problem
from agent.model.problems.environment import StatusListenFailed, unusable_status_token
from agent.model.sensitive import Sensitive
from agent.services.ports import Clock, Log, Reporter
from agent.settings import Settings
from agent.web import responses, sockets
from agent.web.connections import AT_ONCE, BACKLOG, Connection, ConnectionLimiter
from agent.web.guard import Guard
from agent.web.routes import BODY_LIMIT, Routes
from agent.web.token import TokenFile

_RETRY_S: Final = 5.0
_ANSWER_S: Final = 5.0
"""How long a file system or a name server may take. Afterwards, the problem is reported, and `run` tries again."""
_CLOSE_S: Final = 2.0
_CALLS: Final = BlockingCalls("status", limit=4)
_GRACE_S: Final = 0.5
"""How long open requests may take to finish at shutdown. Event streams end earlier, with the phase `stopping`."""


@dataclass(kw_only=True, eq=False)
class StatusServer:
    """Serves `routes` from `start` to `close`. If it cannot open a socket, it reports this, and `run` retries.

    Args:
        socket_routes: what only the Unix socket answers.
        socket_path: the path of the Unix socket. Not used if systemd passes others in as `inherited`.
        not_inherited: what systemd has passed in, too, and is not served.
        settings: returns the current settings. Call `rebind` after `status.listen` has changed.
        read_token: reads `status.token_file`, or raises OSError with the reason.
    """

    name: ClassVar[str] = "status"
    board: Reporter
    routes: Routes
    socket_routes: Sequence[web.RouteDef] = ()
    settings: Callable[[], Settings]
    read_token: InitVar[Callable[[Path], Awaitable[Sensitive]]]
    clock: Clock
    log: Log
    socket_path: Path
    inherited: Sequence[socket.socket] = ()
    not_inherited: Sequence[Problem] = ()
    _unix: "_Listener | None" = field(default=None, init=False)
    _tcp: "_Listener | None" = field(default=None, init=False)
    _tcp_listen: str = field(default="", init=False)

    def __post_init__(self, read_token: Callable[[Path], Awaitable[Sensitive]]) -> None:
        self._token = TokenFile(lambda: self.settings().status.token_file, read_token)
        socket_only = frozenset(route.path for route in self.socket_routes)
        self._guard = Guard(lambda: self.settings().status, self._token, socket_only)
        self._binding = OngoingCall[socket.socket](_CALLS, self.socket_path)
        self._opening = asyncio.Lock()

    @property
    def is_listening(self) -> bool:
        """Whether the Unix socket is open."""
        return self._unix is not None

    @property
    def address(self) -> str:
        """The absolute path of the Unix socket, whether it is open or not."""
        return str(self.inherited[0].getsockname() if self.inherited else self.socket_path.absolute())

    @property
    def tcp_addresses(self) -> list[tuple[str, int]]:
        """The host and port of each TCP socket; empty if TCP is off or could not be opened."""
        return [listener.getsockname()[:2] for listener in self._tcp.sockets] if self._tcp else []

    async def start(self) -> None:
        """Open the Unix socket and TCP. After this, clients get an answer."""
        await self._open()

    async def run(self) -> None:
        """Every 5 seconds, open again what is not open, for example because somebody deleted the socket's file."""
        never = asyncio.Event()
        while True:
            # Wake at multiples of 5 s, together with the agent's other loops, so that the processor can sleep longer.
            await self.clock.wait(never, _RETRY_S - self.clock.monotonic() % _RETRY_S)
            await self._open()

    async def rebind(self) -> None:
        """Apply the current value of `status.listen`."""
        await self._open()

    async def close(self) -> None:
        """Stop serving, and remove the socket's file, unless it belongs to systemd."""
        async with self._opening:
            await asyncio.gather(*(listener.close() for listener in (self._unix, self._tcp) if listener))
            if self._unix is not None and not self.inherited:
                # A file that cannot be removed now is replaced at the next start.
                with contextlib.suppress(TimeoutError, NoThreadError):
                    path = self.socket_path
                    await _CALLS.call(path, lambda: sockets.remove_socket_file(path), timeout=_CLOSE_S)
            self._unix = self._tcp = None

    async def _open(self) -> None:
        async with self._opening:
            problems = [await self._open_unix(), await self._open_tcp()]
        problems.append(await self._token_problem())
        found = [*self.not_inherited, *(problem for problem in problems if problem is not None)]
        self.board.report(self.name, found, repeat=False)

    async def _open_unix(self) -> Problem | None:
        if self._unix is not None:
            if self.inherited or _is_there(self.socket_path):
                return None
            await self._unix.close()  # its file was deleted, so no client can connect any more
            self._unix = None
        try:
            bound = self.inherited or [
                await self._binding.result(lambda: sockets.bind_unix(self.socket_path), timeout=_ANSWER_S)
            ]
            self._unix = await self._serve(bound)
        except OSError as error:
            return StatusListenFailed(
                str(self.socket_path),
                f"the status socket {self.socket_path} cannot be opened: {_reason(error)}",
                hint=_socket_hint(error, self.socket_path),
            )
        for listener in bound:
            self.log.info("status.listening", address=f"unix:{listener.getsockname()}")
        return None

    async def _open_tcp(self) -> Problem | None:
        listen = self.settings().status.listen
        if self._tcp is not None and listen == self._tcp_listen:
            return None
        # Close the old address first: the new one may use the same port.
        if self._tcp is not None:
            await self._tcp.close()
            self._tcp = None
        if not listen:
            return None
        try:
            bound = sockets.bind_tcp(await _CALLS.call(listen, lambda: sockets.look_up(listen), timeout=_ANSWER_S))
            self._tcp = await self._serve(bound, self._guard)
        except OSError as error:  # TimeoutError is one
            return StatusListenFailed(
                "status.listen", f"status.listen is {listen}, which cannot be opened: {_reason(error)}"
            )
        self._tcp_listen = listen
        for host, port in self.tcp_addresses:
            self.log.info("status.listening", address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        return None

    async def _token_problem(self) -> Problem | None:
        """Check that the token file can be read. Until then, TCP refuses every request."""
        reason = await self._token.unreadable_reason()
        return None if reason is None else unusable_status_token(reason)

    async def _serve(self, listeners: Sequence[socket.socket], guard: Guard | None = None) -> "_Listener":
        limiter = ConnectionLimiter()
        middlewares = [limiter.middleware, responses.errors(self.log), *([guard.middleware] if guard else [])]
        application = web.Application(middlewares=middlewares, client_max_size=BODY_LIMIT)
        application.on_response_prepare.append(responses.add_headers)
        if guard:
            application.on_response_prepare.append(guard.add_headers)
        application.add_routes([*self.routes.table(), *(() if guard else self.socket_routes)])
        return await _serve(listeners, application, limiter)


def _is_there(path: Path) -> bool:
    """Return whether the file exists. If that cannot be checked, assume it does: we could not create it either."""
    try:
        return path.exists()
    except OSError:
        return True


def _socket_hint(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "find the other agent (`ss -xlp`) and stop it, or set RUNTIME_DIRECTORY to another directory"
        case errno.EEXIST:
            return "rename this file or directory; the agent then creates its socket"
        case errno.ENAMETOOLONG:
            return "set RUNTIME_DIRECTORY to a directory with a shorter path"
    return (
        f"check that the agent's user can write to {shown(path.parent)}, or set RUNTIME_DIRECTORY to another directory"
    )


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer from its file system or name server"
    return (error.strerror or str(error)).lower()


@dataclass(frozen=True, slots=True)
class _Listener:
    """The sockets of one listener, and what serves them."""

    runner: web.AppRunner
    sockets: Sequence[socket.socket]
    servers: contextlib.ExitStack

    async def close(self) -> None:
        # Stop accepting, then give the loop one turn for connections that it has just accepted. asyncio loses a
        # connection that is set up after the server's end, and its client would wait until garbage collection.
        for bound in self.sockets:
            asyncio.get_running_loop().remove_reader(bound)
        await asyncio.sleep(0)
        self.servers.close()
        await self.runner.cleanup()


async def _serve(
    listeners: Sequence[socket.socket], application: web.Application, limiter: ConnectionLimiter
) -> _Listener:
    # aiohttp logs malformed requests with their content, which may include a token. So it gets a silent logger.
    mute = logging.Logger("agent.web", level=logging.CRITICAL + 1)  # noqa: LOG001 - outside the tree on purpose
    runner = web.AppRunner(application, shutdown_timeout=_GRACE_S, handler_cancellation=True)
    servers = contextlib.ExitStack()
    try:
        await runner.setup()
        http = runner.server
        assert http is not None  # noqa: S101 - `setup` has just made it
        http.request_handler = responses.without_quotes(http.request_handler)

        def connection() -> asyncio.Protocol:
            return Connection(limiter, http, mute)

        loop = asyncio.get_running_loop()
        for bound in listeners:
            servers.callback((await loop.create_server(connection, sock=bound, backlog=AT_ONCE)).close)
            bound.listen(BACKLOG)  # the kernel's queue; asyncio's `backlog` is also how many it accepts at a time
    except BaseException:
        servers.close()
        with contextlib.suppress(Exception):
            await runner.cleanup()
        sockets.close_all(listeners)
        raise
    return _Listener(runner, listeners, servers)
