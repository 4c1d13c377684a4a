"""Tests of the lock that an agent holds on a Docker configuration directory."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agent.edge.config_lock import ConfigLock
from tests.rig.needs import need_root

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
    (file,) = directory.iterdir()
    assert (file.name, file.stat().st_mode & 0o777, file.read_bytes()) == (".registry-agent.lock", 0o600, b"")
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


# Locks everything that it can open in a directory, and the directory itself.
GREEDY = """
import fcntl, os, sys
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
for path in [sys.argv[1], *map(lambda name: os.path.join(sys.argv[1], name), os.listdir(sys.argv[1]))]:
    try:
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
    except PermissionError:
        pass
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_another_user_cannot_keep_the_agent_out(mode: int) -> None:
    """Others may read ~/.docker on many machines. They must not be able to hold the agent's lock.

    With `chmod -R` on the directory, the user may have opened the file. The next start closes it.
    """
    need_root("to become another user")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        lock = ConfigLock(directory)
        assert lock.acquire()
        lock.release()
        (directory / ".registry-agent.lock").chmod(mode)
        assert lock.acquire()
        lock.release()
        with subprocess.Popen(
            [sys.executable, "-c", GREEDY, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as stranger:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == b"locked\n"
            assert lock.acquire()
            stranger.kill()


def test_a_file_that_another_user_has_put_there_is_no_lock(tmp_path: Path) -> None:
    """In a directory for all users, such as that of a container image, a stranger could create it first."""
    need_root("to make a file of another user")
    (tmp_path / ".registry-agent.lock").touch()
    os.chown(tmp_path / ".registry-agent.lock", 12345, 12345)
    lock, held = ConfigLock(tmp_path), os.open(tmp_path / ".registry-agent.lock", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert lock.acquire()
    os.close(held)


def test_leaves_nothing_in_another_users_directory(tmp_path: Path) -> None:
    """A link may lead there."""
    need_root("to make a directory of another user")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").symlink_to(theirs / "config.json")
    assert ConfigLock(tmp_path / ".docker").acquire()
    assert not list(theirs.iterdir())


def test_a_removed_lock_file_comes_back(tmp_path: Path) -> None:
    """As with a new directory, the first agent to lock the new file may go on."""
    first, second = ConfigLock(tmp_path), ConfigLock(tmp_path)
    assert first.acquire()
    (tmp_path / ".registry-agent.lock").unlink()
    assert first.hold()
    assert not second.acquire()


def test_a_removal_leaves_no_file_and_stays_locked(tmp_path: Path) -> None:
    """Until its process ends. The file of another agent's lock stays."""
    first, second = ConfigLock(tmp_path), ConfigLock(tmp_path)
    assert first.acquire()
    second.remove()
    assert not second.acquire()
    first.remove()
    assert not list(tmp_path.iterdir())
    first.release()
    assert second.acquire()


@pytest.mark.parametrize("what", ["a read-only directory", "a directory in the way"])
def test_a_directory_that_can_hold_no_file_is_locked_itself(tmp_path: Path, what: str) -> None:
    if what == "a directory in the way":
        (tmp_path / ".registry-agent.lock").mkdir()
    elif os.geteuid() == 0:
        subprocess.run(["mount", "--bind", "-o", "ro", tmp_path, tmp_path], check=True)
    else:
        tmp_path.chmod(0o500)
    first, second = ConfigLock(tmp_path), ConfigLock(tmp_path)
    try:
        assert first.acquire()
        assert not second.acquire()
    finally:
        first.release()
        subprocess.run(["umount", "-q", tmp_path], check=False)


def test_the_file_names_the_socket_of_the_agent_that_holds_it(tmp_path: Path) -> None:
    """Docker's credential helper asks there. An agent that is refused changes nothing."""
    file = tmp_path / ".registry-agent.lock"
    first, second = ConfigLock(tmp_path, "/a long path/agent.sock"), ConfigLock(tmp_path, "/b/agent.sock")
    assert first.acquire()
    assert not second.acquire()
    assert file.read_bytes() == b"/a long path/agent.sock\n"
    first.release()
    assert second.acquire()
    assert file.read_bytes() == b"/b/agent.sock\n"


def test_needs_no_lock_if_the_directory_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert ConfigLock(tmp_path / "file" / ".docker").acquire()


def test_creates_a_private_directory(tmp_path: Path) -> None:
    lock = ConfigLock(tmp_path / ".docker")
    assert lock.acquire()
    assert (tmp_path / ".docker").stat().st_mode & 0o777 == 0o700
    lock.release()
