"""The state directory."""

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
    state_file = StateFile(directory, docker)
    state_file.set_preexisting({"quay.io": "d0"})
    state_file.set_entry("ghcr.io", StoredLogin("ghcr.io", (state_file.digest("ghcr.io", LOGIN),), WHEN))
    state_file.set_rejection("ghcr.io", REFUSED)
    await state_file.flush()
    return state_file


async def test_what_is_known_outlives_a_restart(tmp_path: Path) -> None:
    before = await filled(tmp_path / "state")
    after = StateFile(tmp_path / "state", DOCKER)
    assert after.fault is None
    assert after.entries() == before.entries()
    assert after.entries()["ghcr.io"].expires_at == WHEN
    assert after.preexisting == {"quay.io": "d0"}
    assert after.rejection("ghcr.io") == REFUSED
    assert after.digest("ghcr.io", LOGIN) == before.digest("ghcr.io", LOGIN)
    assert after.fingerprint("a", "bc") != after.fingerprint("ab", "c")


async def test_the_file_is_the_users_alone_and_tells_no_secret(tmp_path: Path) -> None:
    await filled(tmp_path / "state")
    path = tmp_path / "state" / "state.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "s3cret" not in path.read_text()
    assert [child.name for child in path.parent.iterdir()] == ["state.json"]


async def test_two_state_directories_have_different_hashes(tmp_path: Path) -> None:
    """The key is drawn: the hash of a known password tells nothing."""
    one, other = await filled(tmp_path / "one"), await filled(tmp_path / "other")
    assert one.digest("ghcr.io", LOGIN) != other.digest("ghcr.io", LOGIN)


async def test_what_is_forgotten_stays_forgotten(tmp_path: Path) -> None:
    state_file = await filled(tmp_path)
    state_file.set_entry("ghcr.io", None)
    state_file.set_entry("ghcr.io", None)
    state_file.set_rejection("ghcr.io", None)
    await state_file.flush()
    after = StateFile(tmp_path, DOCKER)
    assert after.entries() == {}
    assert after.rejection("ghcr.io") is None


async def test_a_first_start_is_told_from_a_later_one(tmp_path: Path) -> None:
    """Nobody has looked yet, until somebody did, also when there was nothing to see."""
    state_file = StateFile(tmp_path, DOCKER)
    assert state_file.preexisting is None
    state_file.set_preexisting({})
    await state_file.flush()
    assert StateFile(tmp_path, DOCKER).preexisting == {}


async def test_another_docker_configuration_starts_afresh(tmp_path: Path) -> None:
    """What is ours in one says nothing of another; who said no, said it anyway."""
    await filled(tmp_path)
    other = StateFile(tmp_path, Path("/elsewhere"))
    assert other.entries() == {}
    assert other.preexisting is None
    assert other.rejection("ghcr.io") == REFUSED


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', "\0\0\0"])
async def test_a_damaged_file_makes_every_login_a_persons(tmp_path: Path, text: str) -> None:
    """It is no first start, so nothing may be replaced; and the next change mends the file."""
    (tmp_path / "state.json").write_text(text)
    state_file = StateFile(tmp_path, DOCKER)
    assert state_file.fault is not None
    assert "damaged" in state_file.fault
    assert state_file.preexisting == {}
    assert state_file.entries() == {}
    state_file.set_rejection("ghcr.io", REFUSED)
    await state_file.flush()
    assert StateFile(tmp_path, DOCKER).fault is None


@pytest.mark.parametrize("place", ["none", "file in the way"])
async def test_without_a_directory_it_works_in_memory(tmp_path: Path, place: str) -> None:
    """The agent runs without a state directory too, and says why it has none."""
    (tmp_path / "file").touch()
    state_file = StateFile({"none": None, "file in the way": tmp_path / "file" / "state"}[place], DOCKER)
    state_file.set_rejection("ghcr.io", REFUSED)
    await state_file.flush()
    assert state_file.rejection("ghcr.io") == REFUSED
    assert state_file.fault


async def test_a_directory_that_went_is_made_again(tmp_path: Path) -> None:
    """Or the next start would count as the first, and replace a person's login."""
    state_file = StateFile(tmp_path / "state", DOCKER)
    state_file.set_preexisting({})
    await state_file.flush()
    shutil.rmtree(tmp_path / "state")
    state_file.set_rejection("ghcr.io", REFUSED)
    await state_file.flush()
    again = StateFile(tmp_path / "state", DOCKER)
    assert again.preexisting == {}
    assert again.rejection("ghcr.io") == REFUSED
