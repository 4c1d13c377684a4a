"""The servers of an environment, apart from registries and AWS. Each one works, or has the fault that is set."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
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
    """The part of a Docker engine that shows that it works and logs in, on a Unix socket.

    `insecure` holds the registries to which it speaks plain HTTP, as `insecure-registries` in daemon.json.
    """

    def __init__(self) -> None:
        self.insecure: Final[set[str]] = set()
        self.trusts_all = False
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
        if request.path.endswith("/auth"):
            return await self._log_in(await request.json())
        return web.json_response({"Version": "28.2.2", "ApiVersion": "1.50"})

    async def _log_in(self, given: dict[str, str]) -> web.StreamResponse:
        host = given["serveraddress"]
        login = {"Authorization": aiohttp.encode_basic_auth(given["username"], given["password"])}
        scheme = "http" if host in self.insecure else "https"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{scheme}://{host}/v2/", headers=login, ssl=not self.trusts_all) as reply,
            ):
                if reply.status == 200:
                    return web.json_response({"Status": "Login Succeeded", "IdentityToken": ""})
                return web.json_response({"message": "unauthorized: incorrect username or password"}, status=401)
        except aiohttp.ClientError:
            message = f'Get "https://{host}/v2/": http: server gave HTTP response to HTTPS client'
            return web.json_response({"message": message}, status=500)


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
