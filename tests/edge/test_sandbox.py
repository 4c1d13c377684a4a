"""Tests that detect a lost writable mount in the sandbox of the systemd unit."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.edge.sandbox import Sandbox
from tests.rig.needs import need


def test_nothing_is_lost_if_the_agent_can_write(tmp_path: Path) -> None:
    """Without a sandbox, a directory may be removed and created again."""
    directory = tmp_path / ".docker"
    assert not Sandbox(directory).is_lost()
    directory.mkdir()
    sandbox = Sandbox(directory)
    assert not sandbox.is_lost()
    directory.rmdir()
    assert not sandbox.is_lost()


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_replaced_directory_in_a_read_only_home_is_lost(tmp_path: Path, comes_back: bool) -> None:
    """It is lost even if it was created again, because the writable mount went with the old directory."""
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
