"""Agents to attack."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rig.needs import need_root
from tests.web_attacks import crowds
from tests.web_attacks.target import Target


@pytest.fixture
def home() -> Iterator[Path]:
    """Create a directory with a short name, because a socket's path must be short."""
    need_docker()
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def crowded() -> Iterator[Target]:
    """Start one agent for all tests, with few descriptors. The attackers may open more, and know the token."""
    with crowded_target(crowds.FEW_DESCRIPTORS) as target:
        yield target


@contextmanager
def crowded_target(descriptors: int) -> Iterator[Target]:
    need_docker()
    need_root("to count the descriptors of a process that nobody may debug")
    crowds.may_open_many()
    with (
        tempfile.TemporaryDirectory(prefix="ra-") as directory,
        Target(Path(directory), token=True, before=crowds.limit(descriptors)) as target,
    ):
        yield target


def need_docker() -> None:
    if shutil.which("docker") is None:
        pytest.skip("needs docker (package docker-cli or docker.io)")
