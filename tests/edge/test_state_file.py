"""Tests of the file in the state directory."""

import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.edge.state_file import StateFile
from agent.model.docker_config import Entry
from agent.model.sensitive import Sensitive
from agent.model.stored_state import Rejection, StoredLogin

DOCKER = Path("/home/me/.docker")
LOGIN = Entry("me", Sensitive("s3cret"))
WHEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
REFUSED = Rejection("abc", "login_rejected", "ghcr.io said no", "do something", WHEN)


async def filled(directory: Path | None, docker: Path = DOCKER) -> StateFile:
    state_file = StateFile.loaded(directory, docker)
    state_file.set_preexisting({"quay.io": "d0"})
    state_file.set_entry("ghcr.io", StoredLogin("ghcr.io", (state_file.digest("ghcr.io", LOGIN),), WHEN))
    state_file.set_rejection("ghcr.io", REFUSED)
    await state_file.flush()
    return state_file


async def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    before = await filled(tmp_path / "state")
    after = StateFile.loaded(tmp_path / "state", DOCKER)
    assert after.fault is None
    assert after.entries() == before.entries()
    assert after.entries()["ghcr.io"].expires_at == WHEN
    assert after.preexisting == {"quay.io": "d0"}
    assert after.rejection("ghcr.io") == REFUSED
    assert after.digest("ghcr.io", LOGIN) == before.digest("ghcr.io", LOGIN)
    assert after.fingerprint("a", "bc") != after.fingerprint("ab", "c")


async def test_the_file_is_private_and_contains_no_secret(tmp_path: Path) -> None:
    await filled(tmp_path / "state")
    path = tmp_path / "state" / "state.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "s3cret" not in path.read_text()
    assert [child.name for child in path.parent.iterdir()] == ["state.json"]


async def test_two_state_directories_have_different_hashes(tmp_path: Path) -> None:
    """The key is random, so the hash of a known password reveals nothing."""
    one, other = await filled(tmp_path / "one"), await filled(tmp_path / "other")
    assert one.digest("ghcr.io", LOGIN) != other.digest("ghcr.io", LOGIN)


async def test_removed_entries_stay_removed(tmp_path: Path) -> None:
    state_file = await filled(tmp_path)
    state_file.set_entry("ghcr.io", None)
    state_file.set_entry("ghcr.io", None)
    state_file.set_rejection("ghcr.io", None)
    await state_file.flush()
    after = StateFile.loaded(tmp_path, DOCKER)
    assert after.entries() == {}
    assert after.rejection("ghcr.io") is None


async def test_distinguishes_the_first_start_from_later_ones(tmp_path: Path) -> None:
    """`preexisting` is None until the agent has looked once, even if it found nothing."""
    state_file = StateFile.loaded(tmp_path, DOCKER)
    assert state_file.preexisting is None
    state_file.set_preexisting({})
    await state_file.flush()
    assert StateFile.loaded(tmp_path, DOCKER).preexisting == {}


async def test_another_docker_configuration_starts_empty(tmp_path: Path) -> None:
    """The entries belong to one configuration. The rejections are valid for all."""
    await filled(tmp_path)
    other = StateFile.loaded(tmp_path, Path("/elsewhere"))
    assert other.entries() == {}
    assert other.preexisting is None
    assert other.rejection("ghcr.io") == REFUSED


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', "\0\0\0"])
async def test_after_a_damaged_file_every_login_counts_as_a_persons(tmp_path: Path, text: str) -> None:
    """It is not a first start, so the agent must not replace anything. The next change repairs the file."""
    (tmp_path / "state.json").write_text(text)
    state_file = StateFile.loaded(tmp_path, DOCKER)
    assert state_file.fault is not None
    assert "damaged" in state_file.fault
    assert state_file.preexisting == {}
    assert state_file.entries() == {}
    state_file.set_rejection("ghcr.io", REFUSED)
    await state_file.flush()
    assert StateFile.loaded(tmp_path, DOCKER).fault is None


@pytest.mark.parametrize("place", ["none", "file in the way"])
async def test_works_in_memory_without_a_directory(tmp_path: Path, place: str) -> None:
    """The agent also runs without a state directory, and reports why it has none."""
    (tmp_path / "file").touch()
    state_file = StateFile.loaded({"none": None, "file in the way": tmp_path / "file" / "state"}[place], DOCKER)
    state_file.set_rejection("ghcr.io", REFUSED)
    await state_file.flush()
    assert state_file.rejection("ghcr.io") == REFUSED
    assert state_file.fault


async def test_creates_a_removed_directory_again(tmp_path: Path) -> None:
    """Otherwise the next start would count as the first, and replace a person's login."""
    state_file = StateFile.loaded(tmp_path / "state", DOCKER)
    state_file.set_preexisting({})
    await state_file.flush()
    shutil.rmtree(tmp_path / "state")
    state_file.set_rejection("ghcr.io", REFUSED)
    await state_file.flush()
    again = StateFile.loaded(tmp_path / "state", DOCKER)
    assert again.preexisting == {}
    assert again.rejection("ghcr.io") == REFUSED
