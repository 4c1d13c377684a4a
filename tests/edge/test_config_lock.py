"""The lifetime lock on a Docker configuration directory."""

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


def test_two_agents_never_have_one_configuration(tmp_path: Path) -> None:
    """Also through a link to its directory; the lock ends with its holder, even when it is killed."""
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
    assert second.acquire(), "what is held is kept"
    assert not list(directory.iterdir()), "the lock leaves no file"
    second.release()
    assert ConfigLock(directory).acquire()


def test_a_directory_that_was_made_anew_is_locked_again(tmp_path: Path) -> None:
    """Also one that was moved away, and by whoever comes first; a directory that is not there is not made for it."""
    directory = tmp_path / ".docker"
    first, second = ConfigLock(directory), ConfigLock(directory)
    assert first.acquire()
    directory.rename(tmp_path / "away")
    assert first.hold()
    assert not directory.exists()
    directory.mkdir()
    assert first.hold()
    assert not second.acquire()
    assert ConfigLock(tmp_path / "away").acquire(), "what is another one's by now is let go"

    directory.rename(tmp_path / "away too")
    assert second.acquire()
    assert not first.hold()
    second.release()
    assert first.hold()


def test_two_agents_never_have_one_file_by_a_link(tmp_path: Path) -> None:
    """Also by a link that is made later, and only for as long as it is one."""
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
    assert one.acquire(), "what is no longer needed is let go"


def test_who_comes_second_leaves_nothing_locked(tmp_path: Path) -> None:
    """It ends, but whoever it is asked by may go on for a while."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "config.json").symlink_to(tmp_path / "one" / "config.json")
    one, second = ConfigLock(tmp_path / "one"), ConfigLock(tmp_path / "other")
    assert one.acquire()
    assert not second.acquire()
    (tmp_path / "other" / "config.json").unlink()
    assert ConfigLock(tmp_path / "other").acquire()


@pytest.mark.parametrize("target", ["/proc/1/cwd/../nowhere/config.json", "config.json", "gone/config.json", "file/x"])
def test_a_link_that_leads_nowhere_needs_no_lock(tmp_path: Path, target: str) -> None:
    """Nor one that may not be followed; the directory that it is in is locked all the same."""
    directory = tmp_path / ".docker"
    directory.mkdir()
    (directory / "file").touch()
    (directory / "config.json").symlink_to(target)
    first, second = ConfigLock(directory), ConfigLock(directory)
    assert first.acquire()
    assert not second.acquire()


def test_where_no_directory_can_be_made_nothing_needs_a_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert ConfigLock(tmp_path / "file" / ".docker").acquire()


def test_the_directory_is_made_for_the_user_alone(tmp_path: Path) -> None:
    lock = ConfigLock(tmp_path / ".docker")
    assert lock.acquire()
    assert (tmp_path / ".docker").stat().st_mode & 0o777 == 0o700
    lock.release()
