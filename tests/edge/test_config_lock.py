"""Tests of the lock that an agent holds on a Docker configuration directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent.edge.config_lock import ConfigLock

HOLDER = """
import sys, pathlib
from agent.edge.config_lock import ConfigLock
lock = ConfigLock(pathlib.Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_two_agents_never_share_a_configuration(tmp_path: Path) -> None:
    """This holds for a link to the directory too. The lock ends with its process, even if that is killed."""
    link = tmp_path / "link"
    directory = tmp_path / ".docker"
    link.symlink_to(directory)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        second = ConfigLock(link)
        assert not second.acquire()
        holder.kill()
        holder.wait()
    assert second.acquire()
    assert second.acquire(), "a lock that is held stays held"
    assert not list(directory.iterdir()), "the lock leaves no file"
    second.release()
    assert ConfigLock(directory).acquire()


def test_locks_a_directory_that_was_created_again(tmp_path: Path) -> None:
    """The first agent gets the new directory. A directory that was moved away is unlocked. None is created."""
    directory = tmp_path / ".docker"
    first, second = ConfigLock(directory), ConfigLock(directory)
    assert first.acquire()
    directory.rename(tmp_path / "away")
    assert first.hold()
    assert not directory.exists()
    directory.mkdir()
    assert first.hold()
    assert not second.acquire()
    assert ConfigLock(tmp_path / "away").acquire(), "a directory that was moved away is unlocked"

    directory.rename(tmp_path / "away too")
    assert second.acquire()
    assert not first.hold()
    second.release()
    assert first.hold()


def test_two_agents_never_share_a_file_through_a_link(tmp_path: Path) -> None:
    """This holds for a link that is created later too, and only while it is a link."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one, other = ConfigLock(tmp_path / "one"), ConfigLock(tmp_path / "other")
    link = tmp_path / "other" / "config.json"
    link.symlink_to("../one/config.json")
    assert one.acquire()
    assert not other.acquire()
    link.unlink()
    assert other.acquire()
    link.symlink_to("../one/config.json")
    assert not other.hold()
    one.release()
    assert other.hold()
    assert not one.acquire()
    link.unlink()
    assert other.hold()
    assert one.acquire(), "a lock that is no longer needed is released"


def test_a_refused_agent_leaves_nothing_locked(tmp_path: Path) -> None:
    """The lock is refused, but the process may run for a while longer."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "config.json").symlink_to(tmp_path / "one" / "config.json")
    one, second = ConfigLock(tmp_path / "one"), ConfigLock(tmp_path / "other")
    assert one.acquire()
    assert not second.acquire()
    (tmp_path / "other" / "config.json").unlink()
    assert ConfigLock(tmp_path / "other").acquire()


@pytest.mark.parametrize("target", ["/proc/1/cwd/../nowhere/config.json", "config.json", "gone/config.json", "file/x"])
def test_a_broken_link_needs_no_lock(tmp_path: Path, target: str) -> None:
    """Neither does a link that cannot be followed. The directory of the link is still locked."""
    directory = tmp_path / ".docker"
    directory.mkdir()
    (directory / "file").touch()
    (directory / "config.json").symlink_to(target)
    first, second = ConfigLock(directory), ConfigLock(directory)
    assert first.acquire()
    assert not second.acquire()


def test_needs_no_lock_if_the_directory_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert ConfigLock(tmp_path / "file" / ".docker").acquire()


def test_creates_a_private_directory(tmp_path: Path) -> None:
    lock = ConfigLock(tmp_path / ".docker")
    assert lock.acquire()
    assert (tmp_path / ".docker").stat().st_mode & 0o777 == 0o700
    lock.release()
