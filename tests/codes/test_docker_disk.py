"""Docker's configuration on a full or read-only disk, in a variable, and with a helper that has its own login."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from agent.demo.registries import BasicAuth
from tests.codes.causes import causes
from tests.codes.programs import install_docker, script
from tests.codes.test_docker_config import THEIRS, write
from tests.codes.world import PERSON, USERS, Door, World
from tests.rig.needs import need


class SmallDisk:
    """Puts Docker's directory on a separate file system. Only the agent sees it under its path."""

    def __init__(self, world: World) -> None:
        self._world: Final = world
        self._path: Final = world.home / ".docker"
        mount = f'mount -t tmpfs -o size=64k,mode=700 tmpfs {self._path} && exec "$@"'
        self.before: Final = (str(shutil.which("unshare")), "--mount", "sh", "-c", mount, "sh")

    def fill(self) -> None:
        with suppress(OSError), self._filler.open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def empty(self) -> None:
        self._filler.unlink()

    def lock(self) -> None:
        self._remount("ro")

    def unlock(self) -> None:
        self._remount("rw")

    @property
    def _filler(self) -> Path:
        return Path(f"/proc/{self._world.pid}/root{self._path}/filler")

    def _remount(self, how: str) -> None:
        inside = ["nsenter", f"--target={self._world.pid}", "--mount"]
        subprocess.run([*inside, "mount", "-o", f"remount,{how}", self._path], check=True)


@pytest.fixture
def disk(world: World) -> Iterator[SmallDisk]:
    need("unshare", "nsenter")
    disk = SmallDisk(world)
    world.here.before = disk.before
    yield disk
    world.here.before = ()


@causes("config_unwritable")
@pytest.mark.parametrize(
    ("break_it", "says", "fix_it"),
    [(SmallDisk.fill, "full", SmallDisk.empty), (SmallDisk.lock, "read-only", SmallDisk.unlock)],
    ids=["full", "read-only"],
)
def test_a_disk_that_cannot_be_written(
    world: World,
    disk: SmallDisk,
    break_it: Callable[[SmallDisk], None],
    says: str,
    fix_it: Callable[[SmallDisk], None],
) -> None:
    """The message says which of the two it is."""
    world.start()
    world.nothing_stopped()
    break_it(disk)
    door = world.registry("later")
    world.raised("config_unwritable", door.hostname, says=says)
    fix_it(disk)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("config_unwritable", door.hostname)


@pytest.fixture
def helper(world: World) -> Path:
    """The path for `docker-credential-theirs`. config.json names this helper for the registry `helped`."""
    programs = world.sources.directory / "bin"  # a helper may return a login, and stores ours
    programs.mkdir()
    world.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    return programs / "docker-credential-theirs"


@pytest.fixture
def helped(world: World, helper: Path) -> Door:
    door = world.registry("helped")
    write(world, {"credHelpers": {door.hostname: helper.name.removeprefix("docker-credential-")}})
    return door


@causes("login_overridden", "credential_store_failed")
def test_a_credential_helper_with_another_login(world: World, helper: Path, helped: Door) -> None:
    """Like ecr-login, it returns another login, and stores none."""
    [(person, password)] = PERSON.items()
    own = json.dumps({"ServerURL": helped.hostname, "Username": person, "Secret": password})
    script(helper, f"[ $1 = get ] && {{ echo '{own}'; exit; }}", "echo not implemented; exit 1")
    world.start()
    world.raised("login_overridden", helped.hostname, says="docker-credential-theirs")
    world.raised("credential_store_failed", helped.hostname, says="not implemented")
    write(world, {})
    world.agent.wait_logged_in(helped.hostname)
    world.cleared("login_overridden", helped.hostname)
    world.cleared("credential_store_failed", helped.hostname)


def test_another_login_in_docker_auth_config(world: World) -> None:
    """From docker 28.3 on, DOCKER_AUTH_CONFIG overrides every file. An older docker ignores it, so nothing is reported.

    The agent follows a docker that is replaced while it runs.
    """
    programs = world.home / "programs"
    install_docker(programs, "sid")
    door = world.registry("variable", BasicAuth({**USERS, **PERSON}))
    world.start(DOCKER_AUTH_CONFIG=json.dumps({"auths": {door.hostname: THEIRS}}))
    world.raised("login_overridden", door.hostname, says="DOCKER_AUTH_CONFIG")
    world.agent.wait_logged_in(door.hostname)
    install_docker(programs, "bookworm")
    world.cleared("login_overridden", door.hostname)


@causes("login_rejected")
def test_a_dead_login_in_docker_auth_config(world: World) -> None:
    """Docker's pulls use it and fail, so the row does not promise one. An older docker uses the agent's login."""
    programs = world.home / "programs"
    install_docker(programs, "sid")
    door = world.registry("variable")
    world.start(DOCKER_AUTH_CONFIG=json.dumps({"auths": {door.hostname: THEIRS}}))
    warning = world.raised("login_rejected", door.hostname, says="DOCKER_AUTH_CONFIG")
    assert "unset DOCKER_AUTH_CONFIG" in warning["hint"]
    row = world.agent.registry(door.hostname)
    assert row is not None
    assert (row["state"], row["last_error"]) == ("rejected", warning["message"])
    install_docker(programs, "bookworm")
    world.reload()
    world.cleared("login_rejected", door.hostname)
    world.agent.wait_logged_in(door.hostname)


@pytest.mark.parametrize(
    "form",
    [{"username": "old", "password": "old"}, {**THEIRS, "email": "a@example.com"}],
    ids=["username and password", "another field"],
)
def test_a_form_of_docker_auth_config_that_docker_rejects(world: World, form: dict[str, str]) -> None:
    """The newest docker then uses the file, so nothing is reported."""
    install_docker(world.home / "programs", "sid")
    world.start(DOCKER_AUTH_CONFIG=json.dumps({"auths": {world.good.hostname: form}}))
    world.nothing_stopped()
    assert "login_overridden" not in {warning["code"] for warning in world.agent.status()["warnings"]}
