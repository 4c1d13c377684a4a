"""Beside an agent that runs: its word is shown and compared, and decides nothing."""

import asyncio
import base64
import json
import os
import socket
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from agent.edge.paths import user_name
from tests.codes.world import LOGIN, World
from tests.doctor.machine import Doctor, Told

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


def _says(state: str, hostname: str, user: str) -> dict[str, object]:
    """An agent with one registry in that state, and a warning that tells why."""
    row = {"hostname": hostname, "secret": "theirs", "state": state, "last_error": "it was refused"}
    why = {
        "code": "login_rejected",
        "severity": "error",
        "message": "it was refused",
        "hint": "mend it",
        "needs": "user",
    }
    return {
        "environment": {"user": user},
        "condition": "error",
        "summary": "0 of 1 registries logged in",
        "registries": [row],
        "warnings": [{**why, "subject": hostname}, {**why, "subject": "another.example", "hint": "no"}],
    }


def _beside(world: World, doctor: Doctor, document: object, *args: str) -> tuple[Told, str]:
    agent = OtherAgent(document)
    world.here.call(agent.start(world.agent.socket))
    told, words = doctor(*args), doctor.words(*args)
    world.here.call(agent.stop())
    return told, words


@pytest.mark.parametrize("asked", [True, False])
def test_a_login_that_only_the_agent_can_try(world: World, doctor: Doctor, *, asked: bool) -> None:
    """Its secret is out of this user's reach: what fails there is broken here, whether it was asked about or not."""
    world.prepare()
    document = _says("rejected", "only-there.example", user_name())
    told, words = _beside(world, doctor, document, *(["only-there.example"] if asked else []))
    link = told.link("agent", "only-there.example")
    assert (link["outcome"], link["code"], link["fix"]) == ("broken", "login_rejected", "mend it")
    assert link["needs"] == "user"
    assert told.code == 2
    assert "all is well" not in words


def test_an_agent_that_fails_where_the_doctor_does_not(world: World, doctor: Doctor) -> None:
    """No link is broken; but nobody is told that all is well."""
    world.prepare()
    auth = base64.b64encode(f"{LOGIN['username']}:{LOGIN['password']}".encode()).decode()
    (world.agent.docker / "config.json").write_text(json.dumps({"auths": {world.good.hostname: {"auth": auth}}}))
    told, words = _beside(world, doctor, _says("retrying", world.good.hostname, user_name()), world.good.hostname)
    assert (told.code, told.link("agent", world.good.hostname)["outcome"]) == (0, "ok")
    assert "but the agent reports a problem with" in " ".join(words.splitlines()[-2:])


@pytest.mark.parametrize("readable", [True, False])
def test_an_agent_that_keeps_another_configuration(world: World, doctor: Doctor, *, readable: bool) -> None:
    """It is logged in, and Docker here is not: that a renewal would mend nothing is told."""
    world.prepare()
    hostname = world.good.hostname if readable else "only-there.example"
    told, _ = _beside(world, doctor, _says("logged_in", hostname, user_name()), hostname)
    link = told.link("in use", hostname)
    assert link["outcome"] == "broken"
    assert f"another configuration than {world.agent.docker}" in link["seen"]
    assert "DOCKER_CONFIG" in link["fix"]


def test_another_users_registries_are_not_looked_at(world: World, doctor: Doctor) -> None:
    """Whoever else runs an agent here does not choose what this user's doctor asks."""
    world.prepare()
    told, _ = _beside(world, doctor, _says("rejected", "only-there.example", "somebody-else"))
    assert "only-there.example" not in [each["hostname"] for each in told.document["registries"]]


def test_an_agent_that_talks_nonsense(world: World, doctor: Doctor) -> None:
    """Whatever it says, the doctor goes on."""
    world.prepare()
    nothing: list[object] = []
    odd = {"environment": {"user": "x"}, "condition": 1, "summary": 2, "registries": 3}
    rows: list[object] = [None, 3, {"state": []}, {"hostname": {}, "state": "rejected"}, {"hostname": "-", "state": {}}]
    own = {**odd, "environment": {"user": user_name()}, "registries": rows, "warnings": [{"subject": {}, "needs": []}]}
    for document in (nothing, {"environment": None}, odd, own):
        agent = OtherAgent(document)
        world.here.call(agent.start(world.agent.socket))
        told = doctor(world.good.hostname)
        world.here.call(agent.stop())
        assert told.link("login", world.good.hostname)["outcome"] == "ok"
