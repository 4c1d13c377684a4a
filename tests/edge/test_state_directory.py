"""Tests of the state directory: a file for each Docker configuration, and what a fault in a file costs."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from agent.edge import state_directory
from agent.edge.state_file import StateFile
from agent.model.docker_config import Entry
from agent.model.problem import RetryClass, Severity
from agent.model.sensitive import Sensitive
from agent.model.stored_state import Rejection, StoredLogin
from tests.edge import version_1_0_0
from tests.rig.needs import need_root

WHEN: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
LOGIN: Final = Entry("me", Sensitive("s3cret"))
STORED: Final = StoredLogin("ghcr.io", ("d1", "d0"), WHEN)
REFUSED: Final = Rejection("abc", "login_rejected", "quay.io said no", "do something", WHEN)
OF_1_0_0: Final[dict[str, Any]] = {
    "version": 1,
    "key": "00ff",
    "docker_config": "/home/me/.docker",
    "entries": {"ghcr.io": {"docker_key": "ghcr.io", "digests": ["d1", "d0"], "expires_at": WHEN.isoformat()}},
    "brought": {"quay.io": "d9"},
    "rejections": {
        "quay.io": {
            "fingerprint": "abc",
            "code": "login_rejected",
            "message": "quay.io said no",
            "hint": "do something",
            "not_before": WHEN.isoformat(),
            "pace": "rejected",
        }
    },
}
HOME: Final = Path("/home/me/.docker")
CI: Final = Path("/ci/docker")


def write(directory: Path, document: object) -> Path:
    path = directory / "state.json"
    path.write_text(json.dumps(document))
    return path


async def saved(directory: Path, docker: Path, hostname: str = "other.example") -> StateFile:
    """Open the state for a Docker configuration, and change it."""
    state_file = StateFile.loaded(directory, docker)
    state_file.set_preexisting({})
    state_file.set_entry(hostname, StoredLogin(hostname, ("d5",)))
    await state_file.flush()
    return state_file


def unsupported(_one: Path, _other: Path) -> None:
    raise OSError(22, "Invalid argument")


@pytest.mark.parametrize("renames", [True, False])
async def test_each_docker_configuration_keeps_its_own_logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: bool
) -> None:
    """Not even two first starts at the same moment lose one, in either order. NFS and FUSE cannot rename like that."""
    if not renames:
        monkeypatch.setattr(state_directory, "rename_new", unsupported)
    one, other = StateFile.loaded(tmp_path, HOME), StateFile.loaded(tmp_path, CI)
    for state_file, hostname in ((one, "a.example"), (other, "b.example"), (one, "c.example")):
        state_file.set_entry(hostname, StoredLogin(hostname, ("d",)))
        await state_file.flush()
    assert StateFile.loaded(tmp_path, HOME).entries().keys() == {"a.example", "c.example"}
    assert StateFile.loaded(tmp_path, CI).entries().keys() == {"b.example"}


async def test_a_link_leads_to_the_state_of_the_same_configuration(tmp_path: Path) -> None:
    """A lock holds for a directory, whatever its path. The state does the same."""
    docker, link, state = tmp_path / ".docker", tmp_path / "link", tmp_path / "state"
    docker.mkdir()
    link.symlink_to(docker)
    await saved(state, docker, "a.example")
    await saved(state, link, "b.example")
    assert StateFile.loaded(state, docker).entries().keys() == {"a.example", "b.example"}


async def test_takes_over_the_state_of_1_0_0_for_the_configuration_that_it_names(tmp_path: Path) -> None:
    """Another configuration starts with its own state, and does not change this one. It knows the rejections."""
    path = write(tmp_path, OF_1_0_0)
    before = path.read_bytes()
    other = await saved(tmp_path, CI)
    assert path.read_bytes() == before
    assert other.rejections() == {"quay.io": REFUSED}
    assert other.digest("ghcr.io", LOGIN) == StateFile.loaded(tmp_path, HOME).digest("ghcr.io", LOGIN)
    own = StateFile.loaded(tmp_path, HOME)
    assert own.fault is None
    assert own.entries() == {"ghcr.io": STORED}
    assert own.rejections() == {"quay.io": REFUSED}
    assert own.preexisting == {"quay.io": "d9"}


async def test_1_0_0_finds_everything_after_a_downgrade(tmp_path: Path) -> None:
    write(tmp_path, OF_1_0_0)
    await saved(tmp_path, CI)
    now = await saved(tmp_path, HOME)
    assert version_1_0_0.read(tmp_path, HOME) == (now.entries(), now.rejections(), now.preexisting)
    assert now.entries().keys() == {"ghcr.io", "other.example"}


async def test_knows_when_each_login_ends(tmp_path: Path) -> None:
    """Version 1.0.0 finds the end of the login that Docker holds. What is damaged there costs no login."""
    write(tmp_path, OF_1_0_0)
    state_file = StateFile.loaded(tmp_path, HOME)
    assert state_file.entries()["ghcr.io"].end_of("d0") == WHEN, "1.0.0 knows no other end"
    state_file.set_entry("ghcr.io", replace(STORED, ends={"d1": WHEN, "d0": None}))
    await state_file.flush()
    after = StateFile.loaded(tmp_path, HOME).entries()["ghcr.io"]
    assert [after.end_of(digest) for digest in ("d1", "d0", "d9")] == [WHEN, None, WHEN]
    assert version_1_0_0.read(tmp_path, HOME)[0] == {"ghcr.io": STORED}
    damaged = json.loads((tmp_path / "state.json").read_bytes())
    damaged["entries"]["ghcr.io"]["ends"] = {"d0": 5}
    write(tmp_path, damaged)
    assert StateFile.loaded(tmp_path, HOME).entries()["ghcr.io"] == STORED


async def test_keeps_the_fields_of_a_newer_version(tmp_path: Path) -> None:
    """Neither a downgrade nor the next upgrade loses a login or a rejection."""
    newer = json.loads(json.dumps(OF_1_0_0))
    newer |= {"version": 2, "new": {"a": [1]}}
    newer["entries"]["ghcr.io"]["store"] = "memory"
    newer["rejections"]["quay.io"] |= {"by": "proxy", "pace": "a class of a newer version"}
    path = write(tmp_path, newer)
    state_file = await saved(tmp_path, HOME)
    assert state_file.fault is None
    assert state_file.entries()["ghcr.io"] == STORED
    assert state_file.rejections() == {"quay.io": REFUSED}
    after = json.loads(path.read_bytes())
    assert after["new"] == {"a": [1]}
    assert after["entries"]["ghcr.io"]["store"] == "memory"
    assert after["rejections"]["quay.io"]["by"] == "proxy"


async def test_a_damaged_part_costs_only_itself(tmp_path: Path) -> None:
    """The rest keeps its owner. A warning names the part, and the old file is kept."""
    damaged = json.loads(json.dumps(OF_1_0_0))
    damaged["entries"]["broken.example"] = {"docker_key": 5}
    damaged["entries"]["text.example"] = {"docker_key": "text.example", "digests": "d1", "expires_at": None}
    damaged["rejections"]["broken.example"] = []
    damaged["brought"]["broken.example"] = 5
    path = write(tmp_path, damaged)
    before = path.read_bytes()
    (tmp_path / "before").mkdir()
    write(tmp_path / "before", damaged)
    state_file = await saved(tmp_path, HOME)
    assert state_file.entries().keys() == {"ghcr.io", "other.example"}
    assert state_file.rejections() == {"quay.io": REFUSED}
    assert StateFile.loaded(tmp_path / "before", HOME).preexisting == {"quay.io": "d9"}
    (problem,) = state_file.problems()
    assert problem.severity is Severity.WARNING
    assert "entries/broken.example, entries/text.example, rejections/broken.example" in problem.message
    assert "brought/broken.example" in problem.message
    assert (tmp_path / "state.json.damaged").read_bytes() == before
    assert StateFile.loaded(tmp_path, HOME).problems() == ()


def test_a_directory_that_cannot_be_read_is_not_called_a_damaged_file(tmp_path: Path) -> None:
    """No file was damaged, so none is kept. The hint is about the directory."""
    place = tmp_path / "state"
    place.touch()
    (problem,) = StateFile.loaded(place, HOME).problems()
    assert "cannot be read (not a directory)" in problem.message
    assert problem.hint.startswith("let the agent's user read and write this directory, or set STATE_DIRECTORY")


async def test_the_damaged_file_stays_kept_when_the_state_changes_again(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    state_file = await saved(tmp_path, HOME)
    state_file.set_entry("third.example", STORED)
    await state_file.flush()
    assert (tmp_path / "state.json.damaged").read_text() == "{"
    assert StateFile.loaded(tmp_path, HOME).entries().keys() == {"other.example", "third.example"}


async def test_the_file_of_another_configuration_is_not_kept_as_a_damaged_one(tmp_path: Path) -> None:
    """Two agents find a damaged file at the same moment. The second one must not move the new file of the first."""
    (tmp_path / "state.json").write_text("{")
    one, other = StateFile.loaded(tmp_path, HOME), StateFile.loaded(tmp_path, CI)
    for state_file in (one, other):
        state_file.set_entry("ghcr.io", STORED)
        await state_file.flush()
    assert (tmp_path / "state.json.damaged").read_text() == "{"
    assert StateFile.loaded(tmp_path, HOME).entries() == StateFile.loaded(tmp_path, CI).entries() == {"ghcr.io": STORED}


async def test_a_damaged_file_makes_no_configuration_start_for_the_first_time(tmp_path: Path) -> None:
    """Nobody knows whose file it was, so no agent may replace a person's login because of it."""
    (tmp_path / "state.json").write_text("{")
    await saved(tmp_path, CI)
    assert StateFile.loaded(tmp_path, HOME).preexisting == {}


async def test_a_link_to_the_configuration_of_a_damaged_file_is_no_first_start(tmp_path: Path) -> None:
    """The link leads to a file that names the configuration. That is in the file, which cannot be read."""
    docker, link, state = tmp_path / ".docker", tmp_path / "link", tmp_path / "state"
    docker.mkdir()
    link.symlink_to(docker)
    await saved(state, CI)
    await saved(state, docker)
    [path] = state.glob("state-*.json")
    path.write_text("{")
    assert StateFile.loaded(state, link).preexisting == {}
    await saved(state, docker)
    assert StateFile.loaded(state, link).entries()


async def test_a_configuration_whose_path_is_not_utf_8_keeps_its_logins(tmp_path: Path) -> None:
    """A home directory may have a name from an older system."""
    docker = Path(os.fsdecode(b"/home/jos\xe9/.docker"))
    await saved(tmp_path, docker, "a.example")
    again = StateFile.loaded(tmp_path, docker)
    assert again.fault is None
    assert again.entries().keys() == {"a.example"}


# Saves the state as a user who may neither read nor link the file that is there.
STRANGER: Final = """
import asyncio, ctypes, os, pathlib, sys
from agent.edge.state_file import StateFile
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
async def main():
    state_file = StateFile.loaded(pathlib.Path(sys.argv[1]), pathlib.Path("/home/me/.docker"))
    state_file.set_rejection("quay.io", None)
    state_file.set_preexisting({"quay.io": "d9"})
    await state_file.flush()
asyncio.run(main())
"""


def test_a_file_without_hard_links_is_kept_too() -> None:
    """Some file systems have none, and the kernel refuses them for another user's file."""
    need_root("to become another user")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        os.chown(directory, 12345, 12345)
        write(directory, OF_1_0_0).chmod(0o600)
        subprocess.run([sys.executable, "-c", STRANGER, name], cwd=Path(__file__).parents[2], check=True)
        assert json.loads((directory / "state.json.damaged").read_text()) == OF_1_0_0
        assert StateFile.loaded(directory, HOME).preexisting == {"quay.io": "d9"}


async def test_a_directory_that_cannot_be_read_is_not_a_first_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    assert StateFile.loaded(tmp_path / "state", HOME).preexisting == {}


async def test_a_configuration_knows_what_was_rejected_for_another(tmp_path: Path) -> None:
    """CI jobs make a new configuration for each run. A wrong password must not be sent once for each of them."""
    first = StateFile.loaded(tmp_path, CI / "1")
    first.set_rejection("quay.io", Rejection("abc", "registry_rate_limited", "no", "", WHEN, RetryClass.SOON))
    await first.flush()
    second = StateFile.loaded(tmp_path, CI / "2")
    second.set_rejection("ghcr.io", REFUSED)
    await second.flush()
    third = StateFile.loaded(tmp_path, CI / "3")
    assert third.rejections().keys() == {"quay.io", "ghcr.io"}
    assert third.fingerprint("a") == first.fingerprint("a")


async def test_configurations_that_no_longer_exist_do_not_fill_the_directory(tmp_path: Path) -> None:
    """The state of a configuration that exists stays, however old it is."""
    here = tmp_path / ".docker"
    here.mkdir()
    await saved(tmp_path / "state", CI)
    await saved(tmp_path / "state", here)
    for number in range(100):
        await saved(tmp_path / "state", CI / str(number))
    assert len(list((tmp_path / "state").iterdir())) < 80
    assert StateFile.loaded(tmp_path / "state", here).entries()
    assert StateFile.loaded(tmp_path / "state", CI).entries()


async def test_a_state_that_could_not_be_saved_is_saved_later(tmp_path: Path) -> None:
    """A notice reports it until then."""
    obstacle = tmp_path / "state"
    state_file = StateFile.loaded(obstacle / "here", HOME)
    obstacle.write_text("a file")
    state_file.set_entry("ghcr.io", STORED)
    await state_file.flush()
    (problem,) = state_file.problems()
    assert problem.severity is Severity.NOTICE
    obstacle.unlink()
    state_file.save_again()
    await state_file.flush()
    assert state_file.problems() == ()
    assert StateFile.loaded(obstacle / "here", HOME).entries() == {"ghcr.io": STORED}


async def test_a_state_is_saved_when_threads_can_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on processes may keep the thread that writes from starting."""
    state_file = StateFile.loaded(tmp_path, HOME)
    with monkeypatch.context() as patched:
        patched.setattr("threading.Thread.start", _no_thread)
        state_file.set_entry("ghcr.io", STORED)
        assert state_file.problems()
    state_file.save_again()
    await state_file.flush()
    assert state_file.problems() == ()
    assert StateFile.loaded(tmp_path, HOME).entries() == {"ghcr.io": STORED}


def _no_thread(*_: object) -> None:
    raise RuntimeError("can't start new thread")
