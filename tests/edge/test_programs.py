"""Programs are looked for only where nobody else could have put them."""

import os
import threading
from pathlib import Path

import pytest

from agent.edge.programs import find_program, search


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "bin"
    place.mkdir(mode=0o755)
    program = place / "docker"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return place


def test_a_program_is_found_in_its_directory(directory: Path) -> None:
    """The first directory of PATH that has it."""
    assert find_program("docker", f"/nonexistent:{directory}") == directory / "docker"
    assert find_program("aws", str(directory)) is None


def test_a_directory_that_all_can_write_to_is_not_searched(directory: Path) -> None:
    """Whoever can write there could have put a program of theirs."""
    directory.chmod(0o777)
    assert find_program("docker", str(directory)) is None


def test_a_program_that_all_can_write_to_is_not_run(directory: Path) -> None:
    """The same holds for the file itself."""
    (directory / "docker").chmod(0o777)
    assert find_program("docker", str(directory)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_another_users_directory_is_not_searched(directory: Path) -> None:
    """Neither group nor mode helps where the owner is a stranger."""
    os.chown(directory, 12345, -1)
    assert find_program("docker", str(directory)) is None


def test_relative_entries_and_unusable_files_are_passed_over(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is nobody's PATH; a file without x is no program."""
    monkeypatch.chdir(directory)
    assert find_program("docker", ".:") is None
    (directory / "docker").chmod(0o644)
    assert find_program("docker", str(directory)) is None


async def test_a_directory_that_hangs_keeps_one_thread(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each search ends at its deadline, and the next one works once the file system answers."""
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
