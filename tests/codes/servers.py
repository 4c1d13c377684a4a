"""The servers of an environment, apart from registries and AWS. Each one works, or has the fault that is set."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from agent.demo.tls import server_context
from tests.fakecloud.faults import Fault, act_out

_PATIENCE_S: Final = 2.0


class ControlPlane:
    """The server of `secrets.url`. Returns `secrets` with an ETag."""

    def __init__(self, secrets: Sequence[Mapping[str, Any]]) -> None:
        self.secrets = secrets
        self.fault: Fault | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.fault is not None:
            return await act_out(self.fault, request)
        body = json.dumps({"secrets": self.secrets})
        etag = f'"{hash(body)}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(text=body, content_type="application/json", headers={"ETag": etag})


class Dashboard:
    """The server of `report.url`. Keeps the documents that it accepts, and all request bodies."""

    def __init__(self) -> None:
        self.documents: Final[list[dict[str, Any]]] = []
        self.bodies: Final[list[bytes]] = []
        self.fault: Fault | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.bodies.append(await request.read())
        if self.fault is not None:
            return await act_out(self.fault, request)
        self.documents.append(json.loads(self.bodies[-1]))
        return web.Response(status=204)


class Engine:
    """The part of a Docker engine that shows that it works, on a Unix socket."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self._runner: web.ServerRunner | None = None

    async def start(self, path: Path) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0.2)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(path)).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            await asyncio.sleep(0)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.fault is not None:
            return await act_out(self.fault, request)
        if request.path.endswith("/_ping"):
            return web.Response(text="OK")
        return web.json_response({"Version": "28.2.2", "ApiVersion": "1.50"})


class FixedAnswer:
    """Answers each TLS connection with the same bytes, whatever the request is."""

    def __init__(self, port: int, answer: bytes) -> None:
        self._answer: Final = answer
        self._socket: Final = socket.create_server(("127.0.0.1", port))
        self._thread: Final = threading.Thread(target=self._serve, name="fixed-answer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(_PATIENCE_S)
            with (
                connection,
                contextlib.suppress(OSError),
                server_context().wrap_socket(connection, server_side=True) as secure,
            ):
                secure.recv(4096)
                secure.sendall(self._answer)
