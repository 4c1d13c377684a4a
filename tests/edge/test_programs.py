"""Tests of the search for programs, which skips directories that other users can write to."""

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.edge.programs import find_program, rejected_program, search
from tests.edge.test_docker_config import open_place, run_in_mounts
from tests.rig.waiting import PATIENCE_S

__all__ = ["open_place"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "bin"
    place.mkdir(mode=0o755)
    program = place / "docker"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return place


def test_finds_a_program_on_path(directory: Path) -> None:
    """It returns the program in the first directory of PATH that has it."""
    assert find_program("docker", f"/nonexistent:{directory}") == directory / "docker"
    assert find_program("aws", str(directory)) is None


def test_skips_a_directory_that_everyone_can_write_to(directory: Path) -> None:
    """Another user could have placed a program there."""
    directory.chmod(0o777)
    assert find_program("docker", str(directory)) is None


def test_skips_a_program_that_everyone_can_write_to(directory: Path) -> None:
    """Another user could have changed the file itself."""
    (directory / "docker").chmod(0o777)
    assert find_program("docker", str(directory)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_skips_a_directory_of_another_user(directory: Path) -> None:
    """Group and mode do not matter if the owner is another user."""
    os.chown(directory, 12345, -1)
    assert find_program("docker", str(directory)) is None


def test_skips_relative_entries_and_files_that_are_not_executable(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory must never count as PATH."""
    monkeypatch.chdir(directory)
    assert find_program("docker", ".:") is None
    (directory / "docker").chmod(0o644)
    assert find_program("docker", str(directory)) is None


def _not_executable(directory: Path) -> None:
    (directory / "docker").chmod(0o644)


def _open_directory(directory: Path) -> None:
    directory.chmod(0o777)


def _open_file(directory: Path) -> None:
    (directory / "docker").chmod(0o777)


def _open_parent(directory: Path) -> None:
    directory.parent.chmod(0o777)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_not_executable, "it is not executable"),
        (_open_directory, "others can write to {0}"),
        (_open_file, "others can write to {0}/docker"),
        (_open_parent, "others can write to {0.parent}"),
    ],
)
def test_says_why_a_program_is_passed_over(directory: Path, spoil: Callable[[Path], None], fault: str) -> None:
    """To install it again would not help. A usable program further back on PATH still counts."""
    assert rejected_program("docker", str(directory)) is None
    spoil(directory)
    assert find_program("docker", str(directory)) is None
    rejected = rejected_program("docker", f"/nonexistent:{directory}")
    assert rejected is not None
    assert rejected.reason == f"{directory}/docker is not used: {fault.format(directory)}"
    assert find_program("sh", f"{directory}:/bin") == Path("/bin/sh")


def test_the_command_makes_a_program_executable(directory: Path) -> None:
    _not_executable(directory)
    rejected = rejected_program("docker", str(directory))
    assert rejected is not None
    (fix,) = re.findall("`(.*?)`", rejected.hint)
    subprocess.run(["sh", "-c", fix], check=True, timeout=20)
    assert find_program("docker", str(directory)) == directory / "docker"


def hint_for(directory: Path) -> str:
    ask = f"from agent.edge.programs import rejected_program as r; print(r('docker', {str(directory)!r}).hint)"
    return shlex.join([sys.executable, "-c", ask])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that another user cannot change")
def test_a_program_of_root_needs_sudo(open_place: Path) -> None:
    """Without it, the command fails for the agent's user."""
    program = open_place / "docker"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o644)
    hint = run_in_mounts(f"setpriv --reuid 65534 --clear-groups {hint_for(open_place)}")
    assert hint == f"make it executable: `sudo chmod a+x {program}`"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_mode_that_is_right_is_not_the_cause(open_place: Path) -> None:
    """On a file system that is mounted with noexec, the command would change nothing."""
    program = open_place / "docker"
    make = f"mount -t tmpfs -o noexec,mode=755 none {open_place} && touch {program} && chmod 755 {program}"
    hint = run_in_mounts(f"{make} && {hint_for(open_place)}")
    assert hint == f"check the mount options of {open_place}: noexec there lets no program run"


async def test_a_hanging_directory_blocks_only_one_thread(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each search ends at its deadline. Once the file system answers, the next search works."""
    answers = threading.Event()
    access = os.access

    def hang(path: Path, mode: int) -> bool:
        answers.wait(30)
        return access(path, mode)

    monkeypatch.setattr(os, "access", hang)
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await search("docker", str(directory), 0.02)
    assert threading.active_count() <= before + 1
    answers.set()
    assert await search("docker", str(directory), 30) == directory / "docker"


async def test_searches_the_default_path_if_none_is_set() -> None:
    """As a shell does. The search ends."""
    assert await search("sh", None, PATIENCE_S) is not None
