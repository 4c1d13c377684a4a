"""The state directory."""

import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.edge.ledger import Ledger
from agent.model.docker_auth import Entry
from agent.model.ledger import LedgerEntry, Rejection
from agent.model.sensitive import Sensitive

DOCKER = Path("/home/me/.docker")
LOGIN = Entry("me", Sensitive("s3cret"))
WHEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
REFUSED = Rejection("abc", "login_rejected", "ghcr.io said no", "do something", WHEN)


async def filled(directory: Path | None, docker: Path = DOCKER) -> Ledger:
    ledger = Ledger(directory, docker)
    ledger.set_brought({"quay.io": "d0"})
    ledger.set_entry("ghcr.io", LedgerEntry("ghcr.io", (ledger.digest("ghcr.io", LOGIN),), WHEN))
    ledger.set_rejection("ghcr.io", REFUSED)
    await ledger.flush()
    return ledger


async def test_what_is_known_outlives_a_restart(tmp_path: Path) -> None:
    before = await filled(tmp_path / "state")
    after = Ledger(tmp_path / "state", DOCKER)
    assert after.fault is None
    assert after.entries() == before.entries()
    assert after.entries()["ghcr.io"].expires_at == WHEN
    assert after.brought == {"quay.io": "d0"}
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
    ledger = await filled(tmp_path)
    ledger.set_entry("ghcr.io", None)
    ledger.set_entry("ghcr.io", None)
    ledger.set_rejection("ghcr.io", None)
    await ledger.flush()
    after = Ledger(tmp_path, DOCKER)
    assert after.entries() == {}
    assert after.rejection("ghcr.io") is None


async def test_a_first_start_is_told_from_a_later_one(tmp_path: Path) -> None:
    """Nobody has looked yet, until somebody did, also when there was nothing to see."""
    ledger = Ledger(tmp_path, DOCKER)
    assert ledger.brought is None
    ledger.set_brought({})
    await ledger.flush()
    assert Ledger(tmp_path, DOCKER).brought == {}


async def test_another_docker_configuration_starts_afresh(tmp_path: Path) -> None:
    """What is ours in one says nothing of another; who said no, said it anyway."""
    await filled(tmp_path)
    other = Ledger(tmp_path, Path("/elsewhere"))
    assert other.entries() == {}
    assert other.brought is None
    assert other.rejection("ghcr.io") == REFUSED


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', "\0\0\0"])
async def test_a_damaged_file_makes_every_login_a_persons(tmp_path: Path, text: str) -> None:
    """It is no first start, so nothing may be replaced; and the next change mends the file."""
    (tmp_path / "state.json").write_text(text)
    ledger = Ledger(tmp_path, DOCKER)
    assert ledger.fault is not None
    assert "damaged" in ledger.fault
    assert ledger.brought == {}
    assert ledger.entries() == {}
    ledger.set_rejection("ghcr.io", REFUSED)
    await ledger.flush()
    assert Ledger(tmp_path, DOCKER).fault is None


@pytest.mark.parametrize("place", ["none", "file in the way"])
async def test_without_a_directory_it_works_in_memory(tmp_path: Path, place: str) -> None:
    """The agent runs without a state directory too, and says why it has none."""
    (tmp_path / "file").touch()
    ledger = Ledger({"none": None, "file in the way": tmp_path / "file" / "state"}[place], DOCKER)
    ledger.set_rejection("ghcr.io", REFUSED)
    await ledger.flush()
    assert ledger.rejection("ghcr.io") == REFUSED
    assert ledger.fault


async def test_a_directory_that_went_is_made_again(tmp_path: Path) -> None:
    """Or the next start would count as the first, and replace a person's login."""
    ledger = Ledger(tmp_path / "state", DOCKER)
    ledger.set_brought({})
    await ledger.flush()
    shutil.rmtree(tmp_path / "state")
    ledger.set_rejection("ghcr.io", REFUSED)
    await ledger.flush()
    again = Ledger(tmp_path / "state", DOCKER)
    assert again.brought == {}
    assert again.rejection("ghcr.io") == REFUSED
