"""Links, hard links and other things planted where the agent writes. The agent has an ordinary user's rights."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from agent.edge.atomic_file import TEMPORARY_PREFIX
from tests.codes.world import LOGIN, World
from tests.hostile.conftest import STRANGER
from tests.rig.waiting import until

pytestmark = pytest.mark.usefixtures("screens")

VICTIM: Final = b'{"auths": {}, "victim": true}'
LEFTOVER: Final = ".config.json.registry-agent-0123456789abcdef"
Plant = Callable[[World, Path], None]


def _victim(directory: Path, owner: int = 0, mode: int = 0o600) -> Path:
    victim = directory / "victim"
    victim.write_bytes(VICTIM)
    victim.chmod(mode)
    os.chown(victim, owner, owner)
    return victim


def _entries(path: Path) -> set[str]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return set(document["auths"])


def test_a_hard_link_to_another_file(world: World) -> None:
    """The other name keeps its content. The login goes into a new file, with a copy of that content."""
    victim = _victim(world.home, mode=0o644)
    config = world.agent.docker / "config.json"
    os.link(victim, config)
    world.start()
    world.nothing_stopped()
    assert _entries(config) == {world.good.hostname}
    assert victim.read_bytes() == VICTIM
    assert json.loads(config.read_bytes())["victim"] is True


def test_a_dangling_link(world: World) -> None:
    """Its target is created with mode 0600, and the link stays a link."""
    target = world.home / "elsewhere.json"
    (world.agent.docker / "config.json").symlink_to(target)
    world.start()
    world.nothing_stopped()
    assert _entries(target) == {world.good.hostname}
    assert target.stat().st_mode & 0o777 == 0o600
    assert (world.agent.docker / "config.json").is_symlink()


@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_a_link_to_somebody_elses_file(world: World, stranger: Path, mode: int) -> None:
    """The login goes neither into that file nor next to it, even if everybody may write there. A warning reports it."""
    victim = _victim(stranger, STRANGER, mode)
    (world.agent.docker / "config.json").symlink_to(victim)
    world.start()
    # No login works here, so the fixture must expect `good` in another state.
    world.good_state = "retrying"
    world.raised("config_unwritable", world.good.hostname)
    assert victim.read_bytes() == VICTIM
    # Each attempt creates a file, and removes it before a login is in it.
    until("nothing but the victim", lambda: [path.name for path in stranger.iterdir()] == ["victim"])
    assert not [*world.agent.docker.glob(f"{TEMPORARY_PREFIX}*")]
    (world.agent.docker / "config.json").unlink()
    world.good_state = "logged_in"
    world.cleared("config_unwritable", world.good.hostname)


def test_a_loop_of_links(world: World) -> None:
    """A warning reports it, and clears when the loop is gone."""
    config = world.agent.docker / "config.json"
    config.symlink_to("other.json")
    (world.agent.docker / "other.json").symlink_to("config.json")
    world.good_state = "retrying"
    world.start()
    world.raised("config_unwritable", world.good.hostname, says="loop")
    config.unlink()
    world.good_state = "logged_in"
    world.cleared("config_unwritable", world.good.hostname)


def test_a_directory_that_is_a_link(world: World) -> None:
    """A link to another directory of the same user is followed."""
    elsewhere = world.home / "elsewhere"
    world.agent.docker.rename(elsewhere)
    world.agent.docker.symlink_to(elsewhere)
    world.agent.give("good", world.good.hostname, **LOGIN)
    world.start()
    world.nothing_stopped()
    assert _entries(elsewhere / "config.json") == {world.good.hostname}


def test_a_directory_that_is_a_link_to_a_strangers(world: World, stranger: Path) -> None:
    """The stranger owns the directory, but can read no file in it."""
    world.agent.docker.rmdir()
    world.agent.docker.symlink_to(stranger)
    world.start()
    world.nothing_stopped()
    for path in stranger.iterdir():
        found = path.stat()
        assert (found.st_uid, found.st_mode & 0o077) == (0, 0), path


def _link(victim: Path, name: Path) -> None:
    name.symlink_to(victim)


def _hard_link(victim: Path, name: Path) -> None:
    name.hardlink_to(victim)


def _pipe(_victim: Path, name: Path) -> None:
    os.mkfifo(name)


def _directory(_victim: Path, name: Path) -> None:
    name.mkdir()


@pytest.mark.parametrize("plant", [_link, _hard_link, _pipe, _directory])
def test_names_that_the_agent_uses(world: World, plant: Callable[[Path, Path], None]) -> None:
    """Its temporary files and its state are planted. The files that they lead to stay unchanged, and logins work."""
    victim = _victim(world.home)
    for name in (world.agent.docker / LEFTOVER, world.agent.state / "state.json", world.agent.state / "state.json.new"):
        plant(victim, name)
    world.start()
    world.nothing_stopped()
    until("the work", lambda: _entries(world.agent.docker / "config.json") == {world.good.hostname})
    assert world.agent.end() == 0
    assert victim.read_bytes() == VICTIM
    world.start()
    world.nothing_stopped()
    assert victim.read_bytes() == VICTIM
