"""The search for leaked secrets, which each test of faults uses, finds a planted secret in each place."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.programs import script
from tests.codes.world import USER, World
from tests.rig.needs import need
from tests.rig.waiting import until

Plant = Callable[[World, str], Iterator[None]]
"""Plants a secret. The part before `yield` runs before the agent starts, the rest afterwards."""


def _name_of_a_source(world: World, planted: str) -> Iterator[None]:
    """The agent does not know that it is a secret, and shows it everywhere."""
    path = world.agent.secrets / f"{planted}.json"
    path.write_text("{")
    yield
    world.raised("secret_invalid", str(path))
    until("a push of it", lambda: any(planted.encode() in push for push in world.dashboards[0].bodies))


def _line_of_the_log(world: World, planted: str) -> Iterator[None]:
    yield
    with (world.home / "log").open("a") as log:
        log.write(f"something about {planted}\n")


def _file(world: World, planted: str) -> Iterator[None]:
    yield
    (world.agent.state / "notes").write_text(planted)


def _file_that_is_removed(world: World, planted: str) -> Iterator[None]:
    """The file is removed when the agent ends."""
    notes = world.home / "scratch" / "notes"
    notes.write_text(planted)
    yield
    world.cleanup.callback(notes.unlink)


def _next_to_dockers_store(world: World, planted: str) -> Iterator[None]:
    yield
    (world.agent.docker / ".config.json.new").write_text(planted)


def _docker_that(world: World, line: str) -> None:
    """Install a docker that runs `line` first, and then the lines of earlier calls."""
    programs = world.sources.directory / "bin"
    docker = programs / "docker"
    if docker.exists():
        script(docker, line, *docker.read_text().splitlines()[1:])
        return
    programs.mkdir()
    script(docker, line, f'exec {shutil.which("docker")} "$@"')
    world.env["PATH"] = f"{programs}:{world.env['PATH']}"


def _argument(world: World, planted: str) -> Iterator[None]:
    _docker_that(world, f"sh -c 'sleep 0.1; true' '{planted}'")
    yield


def _variable_of_a_grandchild(world: World, planted: str) -> Iterator[None]:
    _docker_that(world, f"PLANTED='{planted}' sleep 0.1")
    yield


EVERYWHERE: Final = ("/v1/status", "/v1/logs", "/v1/events", "status", "status --json", "push [0-9]+", ".*/home/log")
# The places in which the search must find each secret, as regular expressions.
PLANTS: Final[Mapping[Plant, tuple[str, ...]]] = {
    _name_of_a_source: EVERYWHERE,
    _line_of_the_log: (".*/home/log",),
    _file: (".*/home/state/notes",),
    _file_that_is_removed: (".*/home/scratch/notes",),
    _next_to_dockers_store: (r".*/home/\.docker/\.config\.json\.new",),
    _argument: ("command line of .*",),
    _variable_of_a_grandchild: ("environment of .*",),
}


@pytest.fixture(scope="module")
def found(here: Here, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The report of a search after all secrets were planted."""
    need("docker")
    home = tmp_path_factory.mktemp("planted") / "home"
    with pytest.raises(AssertionError) as caught, hunted(here, home) as world:
        _plant_all(world)
    return str(caught.value).splitlines()


def _plant_all(world: World) -> None:
    plants = [plant(world, world.sources.secret(_name(plant), "-")) for plant in PLANTS]
    for plant in plants:
        next(plant)
    world.start()
    world.nothing_stopped()
    for plant in plants:
        next(plant, None)


def _name(plant: Plant) -> str:
    return f"planted as{plant.__name__}"


@pytest.mark.parametrize("plant", PLANTS)
def test_finds_each_planted_secret(found: list[str], plant: Plant) -> None:
    """The test fails, and the message names the place."""
    for place in PLANTS[plant]:
        assert any(re.match(f"{_name(plant)} in {place}: b", line) for line in found), (place, found)


def test_finds_nothing_else(found: list[str]) -> None:
    """Other secrets in this world are only in allowed places."""
    assert all(line.startswith("planted as") for line in found[1:]), found


def test_rejects_a_secret_that_cannot_be_recognized(here: Here, tmp_path: Path) -> None:
    """A test that uses a password of its own fails, and the message says how to get one."""
    need("docker")
    with pytest.raises(AssertionError, match=r"take it from world\.sources"), hunted(here, tmp_path / "home") as world:
        _with_a_password_of_its_own(world)


def _with_a_password_of_its_own(world: World) -> None:
    world.registry("careless", secret={"username": USER, "password": "open-sesame"})
    world.start()
    world.nothing_stopped()
