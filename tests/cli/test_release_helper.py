"""`make uninstall` leaves no line behind that makes docker look for a program that is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

from agent.edge.config_lock import ConfigLock
from agent.edge.state_directory import new_state, save_state

LINES = {"ghcr.io": "registry-agent", "quay.io": "theirs"}


def write(directory: Path) -> Path:
    directory.mkdir(parents=True)
    file = directory / "config.json"
    file.write_text(json.dumps({"auths": {"x.example": {}}, "credHelpers": LINES}))
    return file


def release(home: Path) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "STATE_DIRECTORY": str(home / "state")}
    command = [sys.executable, "-IB", "-m", "agent.cli.release_helper"]
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)


def test_removes_only_the_agents_lines_from_every_known_configuration(tmp_path: Path) -> None:
    """The default one, and those that the state directory names."""
    files = [write(tmp_path / ".docker"), write(tmp_path / "elsewhere")]
    save_state(tmp_path / "state/state.json", new_state(tmp_path / "elsewhere"), keep_aside=False)
    done = release(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"docker no longer asks registry-agent: {file}" for file in files]
    for file in files:
        assert json.loads(file.read_text()) == {"auths": {"x.example": {}}, "credHelpers": {"quay.io": "theirs"}}
    assert release(tmp_path).stdout == ""


def test_leaves_the_configuration_of_an_agent_that_runs(tmp_path: Path) -> None:
    """The agent has another installation. It would write its lines again, and docker finds its program."""
    file = write(tmp_path / ".docker")
    before, lock = file.read_text(), ConfigLock(file.parent)
    assert lock.acquire()
    try:
        done = release(tmp_path)
    finally:
        lock.release()
    assert (done.returncode, file.read_text()) == (1, before)
    assert f"another agent manages {file}" in done.stderr


def test_a_missing_configuration_is_not_created(tmp_path: Path) -> None:
    assert release(tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_changed_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / ".docker")
    file.write_text("{")
    done = release(tmp_path)
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert "remove registry-agent from credHelpers" in done.stderr
