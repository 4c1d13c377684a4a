"""With a running agent: the doctor shows and compares what the agent reports, but checks everything itself."""

import asyncio
import base64
import json
import os
import pwd
import socket
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from agent.edge.paths import user_name
from agent.model.status import RegistryStatus, State
from agent.services.board import Board
from tests.codes.programs import script
from tests.codes.world import LOGIN, World
from tests.doctor.machine import Doctor, Told
from tests.fakes import EPOCH, FakeLog, process

EVIL: Final = "\x1b]0;owned\x07\u202e\u2028"


def test_a_hanging_agent_does_not_stop_the_other_checks(world: World, doctor: Doctor) -> None:
    """The doctor reports that the agent does not answer, and goes on."""
    world.prepare()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(world.agent.socket))
        silent.listen()
        told = doctor(world.good.hostname)
    assert "did not answer" in told.link("agent")["seen"]
    assert told.link("login", world.good.hostname)["outcome"] == "ok"


class OtherAgent:
    """A server on the agent's socket that answers every request with one document."""

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


def test_shows_that_the_agent_belongs_to_another_user(world: World, doctor: Doctor) -> None:
    """The report names the configuration that was checked. Control characters from the agent are not printed."""
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
    assert f"checks the files of root: {world.agent.docker}" in seen or os.geteuid() != 0
    assert (
        "no secret that this user can read; the agent uses theirs" in told.link("secret", "only-there.example")["seen"]
    )
    assert not {"\x1b", "\x07", "\u202e"} & set(words)


_WHY: Final = {
    "code": "login_rejected",
    "severity": "error",
    "message": "it was refused",
    "hint": "fix it",
    "needs": "user",
}


def _status(state: str, hostname: str, user: str) -> dict[str, object]:
    """The status of an agent that has one registry in `state`, with a warning that gives the reason."""
    row = {"hostname": hostname, "secret": "theirs", "state": state, "last_error": "it was refused"}
    other = {**row, "hostname": "another.example"}
    return {
        "environment": {"user": user},
        "condition": "error",
        "summary": "0 of 1 registries logged in",
        "registries": [row, other],
        "warnings": [{**_WHY, "subject": hostname}, {**_WHY, "subject": "another.example", "hint": "no"}],
    }


def _with_agent(world: World, doctor: Doctor, document: object, *args: str) -> tuple[Told, str]:
    agent = OtherAgent(document)
    world.here.call(agent.start(world.agent.socket))
    told, words = doctor(*args), doctor.words(*args)
    world.here.call(agent.stop())
    return told, words


@pytest.mark.parametrize("asked", [True, False])
def test_reports_a_failed_login_that_only_the_agent_can_try(world: World, doctor: Doctor, *, asked: bool) -> None:
    """This user cannot read the secret. The agent's failure fails the check, with HOST or without."""
    world.prepare()
    document = _status("rejected", "only-there.example", user_name())
    told, words = _with_agent(world, doctor, document, *(["only-there.example"] if asked else []))
    link = told.link("agent", "only-there.example")
    assert (link["outcome"], link["code"], link["fix"]) == ("broken", "login_rejected", "fix it")
    assert link["needs"] == "user"
    assert told.code == 2
    assert "all is well" not in words


def test_never_disagrees_with_the_status(world: World, doctor: Doctor) -> None:
    """The doctor's own checks pass, but the agent reports a failure. The doctor fails too, with the agent's reason."""
    world.prepare()
    auth = base64.b64encode(f"{LOGIN['username']}:{LOGIN['password']}".encode()).decode()
    (world.agent.docker / "config.json").write_text(json.dumps({"auths": {world.good.hostname: {"auth": auth}}}))
    told, words = _with_agent(world, doctor, _status("retrying", world.good.hostname, user_name()), world.good.hostname)
    assert (told.code, told.link("login", world.good.hostname)["outcome"]) == (2, "ok")
    assert told.first == (world.good.hostname, "agent")
    assert words.splitlines()[-1] == f"1 check failed. Start with {world.good.hostname}: agent: fix it"


def test_starts_with_the_agents_reason(world: World, doctor: Doctor) -> None:
    """If docker has no login, the agent knows why. To start the agent or to renew would not help."""
    world.prepare()
    unwritable = {**_WHY, "code": "config_unwritable", "subject": "/x/config.json", "hint": "give the file back"}
    document = {**_status("retrying", world.good.hostname, user_name()), "warnings": [unwritable]}
    told, _ = _with_agent(world, doctor, document, world.good.hostname)
    assert told.first == (None, "agent")
    assert told.document["first"]["fix"] == "give the file back"
    link = told.link("in use", world.good.hostname)
    assert (link["outcome"], link["fix"]) == ("not reached", None)


def test_starts_with_the_reason_of_a_real_agent(world: World, doctor: Doctor) -> None:
    """The credential helper answers, but cannot store. Only the agent has tried that, so only the agent knows it."""
    programs = world.home / "bin"
    programs.mkdir()
    script(
        programs / "docker-credential-locked",
        'cat >/dev/null; test "$1" = store || { echo credentials not found in native keychain; exit 1; }',
        "echo pass not initialized: exit status 1; exit 1",
    )
    hostname = world.good.hostname
    (world.agent.docker / "config.json").write_text(json.dumps({"credHelpers": {hostname: "locked"}}))
    world.good_state = "retrying"
    world.start(PATH=f"{programs}:{os.environ['PATH']}")
    warning = world.raised("credential_store_failed", hostname, says="pass not initialized")
    told = doctor(hostname)
    assert told.first == (hostname, "agent")
    assert told.document["first"]["fix"] == warning["hint"]
    outcomes = told.outcomes(hostname)
    assert (outcomes["store"], outcomes["in use"], outcomes["login"]) == ("ok", "not reached", "ok")


@pytest.mark.parametrize(
    ("state", "hostname", "fix"),
    [("pending", None, "registry-agent status --wait"), ("logged_in", "only-there.example", "give secret good")],
)
def test_a_missing_login_for_which_the_agent_reports_no_reason(
    world: World, doctor: Doctor, state: str, hostname: str | None, fix: str
) -> None:
    """The agent has not finished yet, or does not have the secret. The agent runs, so the fix is not to start it."""
    world.prepare()
    document = {**_status(state, hostname or world.good.hostname, user_name()), "warnings": []}
    told, _ = _with_agent(world, doctor, document, world.good.hostname)
    assert told.first == (world.good.hostname, "in use")
    assert fix in told.document["first"]["fix"]
    assert "start the agent" not in told.document["first"]["fix"]


@pytest.mark.parametrize("readable", [True, False])
def test_detects_that_the_agent_uses_another_configuration(world: World, doctor: Doctor, *, readable: bool) -> None:
    """The agent is logged in, but Docker here is not. A renewal would not help, so the fix is DOCKER_CONFIG."""
    world.prepare()
    hostname = world.good.hostname if readable else "only-there.example"
    told, _ = _with_agent(world, doctor, _status("logged_in", hostname, user_name()), hostname)
    link = told.link("in use", hostname)
    assert link["outcome"] == "broken"
    assert f"a different configuration than {world.agent.docker}" in link["seen"]
    assert "DOCKER_CONFIG" in link["fix"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as sudo does")
@pytest.mark.parametrize("image", ["", "/org/app:1.0"])
@pytest.mark.parametrize("stored_in", ["config.json", "memory"])
def test_sudo_docker_reads_roots_configuration(world: World, doctor: Doctor, image: str, stored_in: str) -> None:
    """The agent of the user who ran sudo is logged in. The fix is that user's configuration, and no new secret.

    For a login in memory, the fix is docker without sudo: the helper of `sudo docker` asks root's agent.
    """
    world.prepare(SUDO_USER="daemon")
    host = world.good.hostname
    nowhere = f'secrets.directories=["{world.home}/none"]'
    row = {"hostname": host, "secret": "theirs", "state": "logged_in", "last_error": "", "stored_in": stored_in}
    document = {**_status("logged_in", host, "daemon"), "warnings": [], "registries": [row]}
    told, _ = _with_agent(world, doctor, document, f"{host}{image}", "--set", nowhere)
    assert told.first == (host, "in use")
    fix = told.document["first"]["fix"]
    assert "use docker without sudo" in fix
    with_config = f"`sudo docker --config {Path(pwd.getpwnam('daemon').pw_dir, '.docker')}`"
    assert (with_config in fix) is (stored_in != "memory")
    assert "logins of root's own" in fix


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as sudo does")
@pytest.mark.parametrize(("user", "shown"), [("daemon", True), ("root", False)])
def test_the_status_of_root_says_whose_logins_it_shows(world: World, user: str, *, shown: bool) -> None:
    """`sudo docker` uses only the logins of root's own agent, not those that `sudo registry-agent status` shows."""
    world.prepare(SUDO_USER="daemon")
    board = Board(replace(process(), user=user), lambda: EPOCH, FakeLog())
    agent = OtherAgent(board.snapshot.as_json(EPOCH, 0.0))
    world.here.call(agent.start(world.agent.socket))
    done = world.agent.command("status")
    world.here.call(agent.stop())
    assert done.returncode == 0, done.stderr
    assert ("`sudo docker` reads root's configuration" in " ".join(done.stdout.split())) is shown


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as sudo does")
@pytest.mark.parametrize("stored_in", ["config.json", "memory"])
def test_the_status_gives_no_advice_with_which_sudo_docker_gets_no_login(world: World, stored_in: str) -> None:
    """For a login in memory, `--config` does not help: the helper of `sudo docker` asks root's agent."""
    world.prepare(SUDO_USER="daemon")
    board = Board(replace(process(), user="daemon"), lambda: EPOCH, FakeLog())
    board.put_registry(RegistryStatus("ghcr.io", "team", "project", "basic", EPOCH, state=State.LOGGED_IN))
    board.set_stored_in("ghcr.io", stored_in)
    agent = OtherAgent(board.snapshot.as_json(EPOCH, 0.0))
    world.here.call(agent.start(world.agent.socket))
    words = " ".join(world.agent.command("status").stdout.split())
    world.here.call(agent.stop())
    assert "use docker without sudo" in words
    assert ("sudo docker --config" in words) is (stored_in != "memory")


def test_does_not_check_the_registries_of_another_users_agent(world: World, doctor: Doctor) -> None:
    """Another user's agent must not decide which servers this user's doctor contacts."""
    world.prepare()
    told, _ = _with_agent(world, doctor, _status("rejected", "only-there.example", "somebody-else"))
    assert "only-there.example" not in [each["hostname"] for each in told.document["registries"]]


def test_survives_any_status_of_the_agent(world: World, doctor: Doctor) -> None:
    """The doctor checks everything else even if the status is not what it should be."""
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
