"""Whether the directory that the unit lets the agent write is still that one."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.edge.sandbox import Sandbox
from tests.rig.needs import need


def test_where_the_agent_may_write_nothing_is_lost(tmp_path: Path) -> None:
    """Without a sandbox a directory may come and go."""
    directory = tmp_path / ".docker"
    assert not Sandbox(directory).is_lost()
    directory.mkdir()
    sandbox = Sandbox(directory)
    assert not sandbox.is_lost()
    directory.rmdir()
    assert not sandbox.is_lost()


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_directory_below_a_read_only_home_is_lost_when_it_is_another_one(tmp_path: Path, comes_back: bool) -> None:
    """Also if somebody made it anew: the mount by which it could be written went with the old one."""
    need("mount", "umount")
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(home)], check=True)
    try:
        directory = home / ".docker"
        directory.mkdir()
        sandbox = Sandbox(directory)
        assert not sandbox.is_lost()
        shutil.move(directory, home / "away")
        if comes_back:
            directory.mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        assert sandbox.is_lost()
    finally:
        subprocess.run(["umount", str(home)], check=True)
