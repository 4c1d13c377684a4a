"""Where a command looks for an agent's socket."""

import pwd
from pathlib import Path

import pytest

from agent.edge import paths
from agent.edge.paths import socket_candidates

ENVIRON = {"RUNTIME_DIRECTORY": "/given", "XDG_RUNTIME_DIR": "/session", "STATE_DIRECTORY": "/state", "HOME": "/home/x"}
OF_ROOT = Path("/run/registry-agent/agent.sock")


@pytest.fixture(params=["root", "ada"])
def me(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whoever runs the command."""
    name = str(request.param)
    monkeypatch.setattr(paths, "user_name", lambda: name)
    return name


def test_ones_own_name_is_no_other_place(me: str) -> None:
    """With it an agent is found wherever it is found without; but another's than the one that was named is not."""
    places = socket_candidates(None, ENVIRON)
    assert places[0] == Path("/given/agent.sock")
    assert {Path("/session/registry-agent/agent.sock"), OF_ROOT} < set(places)
    named = socket_candidates(me, ENVIRON)
    assert named == [place for place in places if me == "root" or place != OF_ROOT]


def test_another_user_is_looked_for_wherever_that_users_agent_can_be(me: str) -> None:
    """Its unit, its session, and where there is no session its home; nothing of who asks."""
    account = pwd.getpwnam("daemon")
    assert me != account.pw_name
    unit = Path("/run/registry-agent/daemon")
    assert socket_candidates("daemon", ENVIRON) == [
        unit / "agent.sock",
        unit / "work" / "agent.sock",
        Path(f"/run/user/{account.pw_uid}/registry-agent/agent.sock"),
        Path(account.pw_dir, ".local/state/registry-agent/run/agent.sock"),
    ]


def test_root_has_a_place_of_its_own() -> None:
    """Whoever asks: root's agent without a unit has no session, but the system's directory."""
    assert OF_ROOT in socket_candidates("root", {})


def test_an_unknown_user_may_still_have_a_unit(me: str) -> None:
    """The unit's name says so; there is no more to go by."""
    unit = Path("/run/registry-agent", f"nobody-{me}-knows")
    assert socket_candidates(unit.name, ENVIRON) == [unit / "agent.sock", unit / "work" / "agent.sock"]
