"""Beside an agent that runs: its word is shown and compared, and decides nothing."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Final

from aiohttp import web

from tests.codes.world import World
from tests.doctor.patient import Doctor

EVIL: Final = "\x1b]0;owned\x07\u202e\u2028"


def test_an_agent_that_hangs(world: World, doctor: Doctor) -> None:
    """It is told, and costs the rest nothing."""
    world.prepare()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(world.agent.socket))
        silent.listen()
        told = doctor(world.good.hostname)
    assert "no answer" in told.link("agent")["seen"]
    assert told.link("login", world.good.hostname)["outcome"] == "ok"


class OtherAgent:
    """Whoever answers on the socket in the agent's place, with one document."""

    def __init__(self, document: object) -> None:
        self._document: Final = document
        self._runner: web.ServerRunner | None = None

    async def start(self, path: Path) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.2)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(path)).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            await asyncio.sleep(0)

    async def _handle(self, _request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(self._document)


def test_another_users_agent(world: World, doctor: Doctor) -> None:
    """Whose configuration the doctor looked at is said; what the agent's words hold cannot drive the terminal."""
    row = {"hostname": "only-there.example", "secret": f"theirs{EVIL}", "state": f"retrying{EVIL}", "last_error": EVIL}
    document = {
        "environment": {"user": f"vscode{EVIL}"},
        "condition": f"error{EVIL}",
        "summary": EVIL,
        "registries": [row],
        "warnings": [{"subject": row["hostname"], "code": EVIL}, None],
    }
    world.prepare()
    agent = OtherAgent(document)
    world.here.call(agent.start(world.agent.socket))
    told, words = doctor("only-there.example"), doctor.words("only-there.example")
    world.here.call(agent.stop())
    seen = told.link("agent")["seen"]
    assert "running as vscode" in seen
    assert f"looks at what root has: {world.agent.docker}" in seen or os.geteuid() != 0
    assert "none that this user can read; the agent has theirs" in told.link("secret", "only-there.example")["seen"]
    assert not {"\x1b", "\x07", "\u202e"} & set(words)


def test_an_agent_that_talks_nonsense(world: World, doctor: Doctor) -> None:
    """Whatever it says, the doctor goes on."""
    world.prepare()
    nothing: list[object] = []
    odd = {"environment": {"user": "x"}, "condition": 1, "summary": 2, "registries": 3}
    for document in (nothing, {"environment": None}, odd):
        agent = OtherAgent(document)
        world.here.call(agent.start(world.agent.socket))
        told = doctor(world.good.hostname)
        world.here.call(agent.stop())
        assert told.link("login", world.good.hostname)["outcome"] == "ok"
