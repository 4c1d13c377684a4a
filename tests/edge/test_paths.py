"""Tests of the places where a command looks for the socket of an agent."""

import os
import pwd
from pathlib import Path

import pytest

from agent.edge import paths
from agent.edge.paths import socket_candidates, state_directories

ENVIRON = {"RUNTIME_DIRECTORY": "/given", "XDG_RUNTIME_DIR": "/session", "STATE_DIRECTORY": "/state", "HOME": "/home/x"}
OF_ROOT = Path("/run/registry-agent/agent.sock")
OF_ROOT_STATE = Path("/var/lib/registry-agent")


@pytest.fixture(params=["root", "ada"])
def me(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The user that runs the command."""
    name = str(request.param)
    monkeypatch.setattr(paths, "user_name", lambda: name)
    return name


def test_the_own_name_gives_the_same_places(me: str) -> None:
    """With the own name, the places are the same as without, except for those of another user's agent."""
    places = socket_candidates(None, ENVIRON)
    assert places[0] == Path("/given/agent.sock")
    assert {Path("/session/registry-agent/agent.sock"), OF_ROOT} < set(places)
    named = socket_candidates(me, ENVIRON)
    assert named == [place for place in places if me == "root" or place != OF_ROOT]


def test_another_user_gives_all_places_of_that_users_agent(me: str) -> None:
    """These are its unit, its session and, without a session, its home. The current user's places are not included."""
    account = pwd.getpwnam("daemon")
    assert me != account.pw_name
    unit = Path("/run/registry-agent/daemon")
    assert socket_candidates("daemon", ENVIRON) == [
        unit / "agent.sock",
        unit / "work" / "agent.sock",
        Path(f"/run/user/{account.pw_uid}/registry-agent/agent.sock"),
        Path(account.pw_dir, ".local/state/registry-agent/run/agent.sock"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs commands of sudo")
def test_sudo_means_the_agent_of_the_user_who_ran_it() -> None:
    """That user's places come first, then root's own."""
    own = socket_candidates(None, ENVIRON)
    assert socket_candidates(None, {**ENVIRON, "SUDO_USER": "daemon"}) == [*socket_candidates("daemon", ENVIRON), *own]


@pytest.mark.parametrize("user", ["", "root", "no-such-user", "../../tmp/evil"])
def test_a_sudo_user_who_does_not_exist_changes_nothing(user: str) -> None:
    """The variable is text from outside, and becomes part of a path."""
    assert socket_candidates(None, {**ENVIRON, "SUDO_USER": user}) == socket_candidates(None, ENVIRON)


def test_root_has_its_own_place() -> None:
    """Without a unit, the agent of root uses the system's directory and not a session."""
    assert OF_ROOT in socket_candidates("root", {})


def test_an_unknown_user_may_still_have_a_unit(me: str) -> None:
    """The name of the unit contains the user name. Nothing else is known about the user."""
    unit = Path("/run/registry-agent", f"nobody-{me}-knows")
    assert socket_candidates(unit.name, ENVIRON) == [unit / "agent.sock", unit / "work" / "agent.sock"]


def test_the_state_of_every_agent_of_the_user_is_found(me: str) -> None:
    """An agent has another state directory with systemd than by hand. A directory that is given is the only one."""
    unit, by_hand = Path("/var/lib/registry-agent", me), Path("/home/x/.local/state/registry-agent")
    own, *others = state_directories({"HOME": "/home/x", "XDG_STATE_HOME": "/elsewhere"})
    assert own == (OF_ROOT_STATE if os.geteuid() == 0 else Path("/elsewhere/registry-agent"))
    assert others == [unit, by_hand]
    assert state_directories(ENVIRON) == [Path("/state")]


def test_finds_the_agent_of_a_session_that_the_command_does_not_know(me: str) -> None:
    """Cron, `su` and `docker exec` set no XDG_RUNTIME_DIR. The agent of the user's session has its socket there."""
    place = Path(f"/run/user/{os.geteuid()}/registry-agent/agent.sock")
    assert place in socket_candidates(None, {})
    assert place in socket_candidates(me, {})


@pytest.mark.parametrize("name", ["RUNTIME_DIRECTORY", "STATE_DIRECTORY", "HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"])
def test_every_directory_is_absolute(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The agent starts docker in another directory. A relative XDG path does not count, as its standard says."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    environ = {"HOME": "/home/x", name: "some/where"}
    found = [paths.home(environ), paths.runtime_directory(environ), paths.state_directory(environ)]
    assert all(directory.is_absolute() for directory in [*found, *socket_candidates(None, environ)])
    if name.startswith("XDG"):
        assert found == [Path("/home/x"), *(Path("/home/x/.local/state/registry-agent", end) for end in ("run", ""))]
