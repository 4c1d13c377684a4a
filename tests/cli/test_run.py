"""`registry-agent run`: signals during start-up, and the lock on Docker's configuration."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from agent.edge.config_lock import ConfigLock
from agent.model.exit_codes import LOCKED_OUT
from tests.rig.waiting import until

# Sends itself signals while it imports the agent. Without early handlers, these signals would kill it.
_LOADING: Final = """
import os, sys
numbers = map(int, sys.argv.pop(1).split(","))
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "agent.app":
            for number in numbers:
                os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder)
from agent.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("words", "code"), [((), 0), (("--once",), 2)])
def test_a_signal_while_it_loads(tmp_path: Path, ending: signal.Signals, words: tuple[str, ...], code: int) -> None:
    """SIGHUP does not end it. SIGTERM ends the daemon with 0, but `--once` with 2, because nothing was logged in."""
    signals = f"{signal.SIGHUP:d},{ending:d}"
    command = [sys.executable, "-c", _LOADING, signals, "run", *words]
    environ = {"RUNTIME_DIRECTORY": str(tmp_path), "STATE_DIRECTORY": str(tmp_path), "HOME": str(tmp_path)}
    ended = subprocess.run(
        command, env=environ, cwd=Path(__file__).parents[2], capture_output=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, b"", b"")


@contextmanager
def agent(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent that has locked the Docker configuration of `home`."""
    environ = {"RUNTIME_DIRECTORY": f"{home}/run", "STATE_DIRECTORY": f"{home}/state", "HOME": str(home)}
    environ["REGISTRY_AGENT_STATUS_LISTEN"] = ""
    command = [sys.executable, "-m", "agent", "run"]
    with subprocess.Popen(
        command, env=environ, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        assert running.stdout is not None
        try:
            assert any(b"agent.ready" in line for line in running.stdout)
            yield running
        finally:
            running.kill()


def test_a_recreated_docker_configuration_still_has_only_one_agent(tmp_path: Path) -> None:
    """The agent locks the new directory within seconds. If another agent has locked it first, it ends."""
    directory = tmp_path / ".docker"
    other = ConfigLock(directory)

    def is_locked() -> bool:
        taken = other.hold()
        other.release()
        return not taken

    with agent(tmp_path) as running:
        directory.rename(tmp_path / "away")
        directory.mkdir()
        until("the lock on the new directory", is_locked)
        directory.rename(tmp_path / "away, too")
        assert other.acquire()
        assert running.wait(15) == LOCKED_OUT
