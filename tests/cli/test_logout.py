"""`registry-agent logout`: takes the agent's own logins out of Docker's configuration, and nothing else."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from agent.edge.config_lock import ConfigLock
from agent.edge.state_file import StateFile
from agent.model.docker_config import Entry, encode_entry
from agent.model.exit_codes import CLEAN, LOCKED_OUT, NOT_ALL
from agent.model.sensitive import Sensitive
from agent.model.stored_state import StoredLogin

ROOT: Final = Path(__file__).parents[2]
OURS: Final = Entry("ada", Sensitive("stored-by-the-agent"))
PERSONS: Final = Entry("ada", Sensitive("typed-by-ada"))


class Home:
    """A home whose agent has stored a login for two registries; at the second one, a person has logged in since."""

    def __init__(self, directory: Path, docker: str = ".docker") -> None:
        self.docker: Final = directory / docker
        self._directory: Final = directory
        self.docker.mkdir()
        self.before: Final = {
            "auths": {"ours.example": encode_entry(OURS), "changed.example": encode_entry(PERSONS)},
            "unknown": [1],
        }
        (self.docker / "config.json").write_text(json.dumps(self.before))

    async def fill(self) -> None:
        state = StateFile.loaded(self._directory / "state", self.docker)
        for host in ("ours.example", "changed.example"):
            state.set_entry(host, StoredLogin(host, (state.digest(host, OURS),), None))
        await state.flush()

    def logout(self, *args: str) -> subprocess.CompletedProcess[str]:
        environ = {"HOME": str(self._directory), "STATE_DIRECTORY": f"{self._directory}/state"}
        environ["RUNTIME_DIRECTORY"] = f"{self._directory}/run"
        return subprocess.run(
            [sys.executable, "-m", "agent", "logout", *args],
            env=environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def after(self) -> Any:
        return json.loads((self.docker / "config.json").read_text())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    asyncio.run(home.fill())
    return home


def test_the_agents_login_goes_and_a_persons_stays(home: Home) -> None:
    """The log names what was removed, without the login. A second run finds nothing to do."""
    done = home.logout()
    assert done.returncode == CLEAN, done.stdout
    assert home.after == {"auths": {"changed.example": encode_entry(PERSONS)}, "unknown": [1]}
    removed = [json.loads(line) for line in done.stdout.splitlines() if "login.removed" in line]
    assert [line["registry"] for line in removed] == ["ours.example"]
    assert "stored-by-the-agent" not in done.stdout + done.stderr
    assert [path.name for path in home.docker.iterdir()] == ["config.json"], "the lock's file is gone, too"
    assert home.logout().returncode == CLEAN


def test_excluded_registries_are_left_alone(home: Home) -> None:
    """As everywhere: the agent does not touch what `secrets.exclude` names."""
    assert home.logout("--set", 'secrets.exclude=["ours.example"]').returncode == CLEAN
    assert home.after == home.before


def test_it_refuses_while_an_agent_runs(home: Home) -> None:
    """The agent would store its logins again."""
    lock = ConfigLock(home.docker)
    assert lock.acquire()
    try:
        assert home.logout().returncode == LOCKED_OUT
    finally:
        lock.release()
    assert home.after == home.before


def test_every_configuration_of_the_users_agents_is_logged_out(home: Home, tmp_path: Path) -> None:
    """Several agents may manage one each. That of an agent that still runs is left alone and named."""
    others = [Home(tmp_path, name) for name in ("stopped", "running", "removed")]
    for other in others:
        asyncio.run(other.fill())
    stopped, running, removed = others
    shutil.rmtree(removed.docker)
    lock = ConfigLock(running.docker)
    assert lock.acquire()
    try:
        done = home.logout()
    finally:
        lock.release()
    assert done.returncode == LOCKED_OUT
    locked_out = [json.loads(line) for line in done.stdout.splitlines() if "agent.locked_out" in line]
    assert [line["docker_config"] for line in locked_out] == [str(running.docker)]
    assert running.after == running.before
    for gone in (home, stopped):
        assert gone.after == {"auths": {"changed.example": encode_entry(PERSONS)}, "unknown": [1]}
    assert not removed.docker.exists()
    assert home.logout().returncode == CLEAN
    assert running.after == stopped.after


@pytest.mark.parametrize("state", ["known", "lost"])
def test_what_cannot_be_removed_is_reported(home: Home, tmp_path: Path, state: str) -> None:
    """A broken configuration is not touched, and the exit code shows that logins may be left."""
    if state == "lost":
        shutil.rmtree(tmp_path / "state")
    (home.docker / "config.json").write_text("{broken")
    done = home.logout()
    assert done.returncode == NOT_ALL
    assert "config_invalid" in done.stdout
    assert (home.docker / "config.json").read_text() == "{broken"


def test_a_line_that_cannot_be_removed_is_reported(home: Home) -> None:
    """Also if the state directory lists no login, so that only the line could be left."""
    (home.docker / "config.json").write_text('{"credHelpers": {"ours.example": "registry-agent"}, }')
    (home.docker.parent / "state/state.json").unlink()
    done = home.logout()
    assert done.returncode == NOT_ALL
    assert "config_invalid" in done.stdout
