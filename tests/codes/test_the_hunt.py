"""The hunt that each row of the matrix goes through finds what is planted, in whichever place."""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.programs import script
from tests.codes.world import USER, World
from tests.rig.needs import need
from tests.rig.waiting import until

Plant = Callable[[World, str], object]


def _name_of_a_source(world: World, planted: str) -> None:
    """The agent takes it for no secret, and says it wherever it says anything."""
    path = world.agent.secrets / f"{planted}.json"
    path.write_text("{")
    world.start()
    world.raised("secret_invalid", str(path))
    until("a push of it", lambda: any(planted.encode() in push for push in world.dashboards[0].bodies))


def _line_of_the_log(world: World, planted: str) -> None:
    world.start()
    with (world.home / "log").open("a") as log:
        log.write(f"something about {planted}\n")


def _file(world: World, planted: str) -> None:
    world.start()
    (world.agent.state / "notes").write_text(planted)


def _file_that_is_swept_away(world: World, planted: str) -> None:
    """As a scratch file that goes with the agent."""
    notes = world.home / "scratch" / "notes"
    notes.write_text(planted)
    world.start()
    world._ends.callback(notes.unlink)


def _beside_dockers_store(world: World, planted: str) -> None:
    world.start()
    (world.agent.docker / ".config.json.new").write_text(planted)


def _docker_that(world: World, *lines: str) -> None:
    programs = world.sources.directory / "bin"
    programs.mkdir()
    script(programs / "docker", *lines, f'exec {shutil.which("docker")} "$@"')
    world.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    world.start()
    world.nothing_stopped()


def _argument(world: World, planted: str) -> None:
    _docker_that(world, f"sh -c 'sleep 0.1; true' '{planted}'")


def _variable_of_a_grandchild(world: World, planted: str) -> None:
    _docker_that(world, f"PLANTED='{planted}' sleep 0.1")


EVERYWHERE: Final = ("/v1/status", "/v1/logs", "/v1/events", "status", "status --json", "push [0-9]+", ".*/home/log")
# Where each is to be found.
PLANTS: Final[Mapping[Plant, tuple[str, ...]]] = {
    _name_of_a_source: EVERYWHERE,
    _line_of_the_log: (".*/home/log",),
    _file: (".*/home/state/notes",),
    _file_that_is_swept_away: (".*/home/scratch/notes",),
    _beside_dockers_store: (r".*/home/\.docker/\.config\.json\.new",),
    _argument: ("command line of .*",),
    _variable_of_a_grandchild: ("environment of .*",),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_planted_is_found(here: Here, tmp_path: Path, plant: Plant) -> None:
    """A canary in the world's outlets, files and children fails the test that goes on in it, and the place is named."""
    need("docker")
    with pytest.raises(AssertionError) as caught, hunted(here, tmp_path / "home") as world:
        plant(world, world.sources.secret("planted", "-"))
    found = str(caught.value).splitlines()
    for place in PLANTS[plant]:
        assert any(re.match(f"planted in {place}: b", line) for line in found), (place, found)
    assert all(line.startswith("planted in ") for line in found[1:]), found


def test_a_secret_that_nobody_can_hunt(here: Here, tmp_path: Path) -> None:
    """A row that gives a password of its own making is told to give a canary."""
    need("docker")
    with pytest.raises(AssertionError, match=r"take it from world\.sources"), hunted(here, tmp_path / "home") as world:
        _with_a_password_of_its_own(world)


def _with_a_password_of_its_own(world: World) -> None:
    world.registry("careless", secret={"username": USER, "password": "open-sesame"})
    world.start()
    world.nothing_stopped()
