"""A stub agent: it connects to each registry and serves status documents, until SIGTERM.

Arguments: the settings file, then `dies` to exit at once, or `fails` to never renew a login.
"""

import asyncio
import json
import signal
import sys
import tomllib
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from agent.edge.clock import Clock
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.status import Phase, RegistryStatus, State
from agent.services.board import Board
from tests.fakes import FakeWarningLog, process


class Stub:
    def __init__(self, config: Path, *, renews: bool) -> None:
        self.settings: dict[str, Any] = tomllib.loads(config.read_text())
        self.clock = Clock()
        self.board = Board(process(), self.clock.now, FakeWarningLog())
        self.renews = renews

    async def run(self) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        app = web.Application()
        app.router.add_get("/v1/events", self.events)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        host, port = self.settings["status"]["listen"].split(":")
        await web.TCPSite(runner, host, int(port)).start()
        logins = [asyncio.create_task(self.login(secret)) for secret in self.secrets()]
        self.board.set_phase(Phase.RUNNING)
        await stop.wait()
        for login in logins:
            login.cancel()
        await runner.cleanup()

    def secrets(self) -> list[dict[str, str]]:
        directory = Path(self.settings["secrets"]["directories"][0])
        return [json.loads(file.read_text()) for file in sorted(directory.glob("*.json"))]

    async def login(self, secret: dict[str, str]) -> None:
        hostname = secret["hostname"]
        if secret.get("password", "").startswith("not-"):
            self.board.report(hostname, [LoginRejected(hostname, f"{hostname} refused it")])
            return
        port = int(hostname.partition(":")[2])
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            self.board.report(hostname, [RegistryUnreachable(hostname, "connection refused")])
            await asyncio.sleep(0.02)
        self.board.report(hostname)
        row = RegistryStatus(hostname, secret["name"], "project", "basic", self.clock.now(), State.LOGGED_IN)
        self.board.put_registry(replace(row, logged_in_at=self.clock.now(), expires_at=self.after(30)))
        if self.renews:
            await asyncio.sleep(1.1)
            self.board.put_registry(replace(row, logged_in_at=self.clock.now(), expires_at=self.after(60)))

    def after(self, seconds: float) -> Any:
        return self.clock.now() + timedelta(seconds=seconds)

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        snapshot = self.board.snapshot
        while True:
            document = json.dumps(snapshot.as_json(self.clock.now(), 0.0))
            await response.write(f"event: status\nid: {snapshot.revision}\ndata: {document}\n\n".encode())
            snapshot = await self.board.changed(snapshot.revision)


if __name__ == "__main__":
    if "dies" in sys.argv:
        sys.exit("the stub died, as requested")
    asyncio.run(Stub(Path(sys.argv[1]), renews="fails" not in sys.argv).run())
