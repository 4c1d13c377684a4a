"""What can be wrong with Docker's configuration, and what others do to it."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from agent.demo.registries import BasicAuth
from tests.codes.causes import causes
from tests.codes.programs import script
from tests.codes.world import LOGIN, PERSON, USERS, Door, World
from tests.rig.needs import need
from tests.rig.waiting import until

THEIRS: Final = {"auth": base64.b64encode(":".join(*PERSON.items()).encode()).decode()}
OURS: Final = {"auth": base64.b64encode(f"{LOGIN['username']}:{LOGIN['password']}".encode()).decode()}


def write(world: World, document: object) -> bytes:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    (world.agent.docker / "config.json").write_bytes(content)
    return content


def auths(world: World) -> dict[str, Any]:
    entries: dict[str, Any] = world.agent.docker_config().get("auths", {})
    return entries


@causes("config_invalid")
@pytest.mark.parametrize("content", [b'{"auths": {', b'{"auths": {"ghcr.io": {"auth": "%"}}}'], ids=["cut", "auth"])
def test_a_file_that_docker_cannot_read(world: World, content: bytes) -> None:
    """It is not touched; what was there and what came meanwhile goes in once it is mended."""
    world.start()
    world.nothing_stopped()
    write(world, content)
    door = world.registry("later")
    for hostname in (door.hostname, world.good.hostname):
        world.raised("config_invalid", hostname, says="config.json")
    assert (world.agent.docker / "config.json").read_bytes() == content

    write(world, {"detachKeys": "ctrl-x"})
    world.agent.wait_logged_in(door.hostname)
    for hostname in (door.hostname, world.good.hostname):
        world.cleared("config_invalid", hostname)
    expected = {"detachKeys": "ctrl-x", "auths": {world.good.hostname: OURS, door.hostname: OURS}}
    until("all of it", lambda: world.agent.docker_config() == expected)


@causes("config_unwritable")
def test_a_directory_that_the_user_may_not_write(world: World) -> None:
    """Logins that are there stay; the new one goes in as soon as it may."""
    world.start()
    world.nothing_stopped()
    world.agent.docker.chmod(0o500)
    try:
        door = world.registry("later")
        world.raised("config_unwritable", door.hostname, says="permission denied")
    finally:
        world.agent.docker.chmod(0o700)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("config_unwritable", door.hostname)


class SmallDisk:
    """Docker's directory on a file system of its own, which only the agent sees under its path."""

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
    ("break_it", "says", "mend_it"),
    [(SmallDisk.fill, "full", SmallDisk.empty), (SmallDisk.lock, "read-only", SmallDisk.unlock)],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing(
    world: World,
    disk: SmallDisk,
    break_it: Callable[[SmallDisk], None],
    says: str,
    mend_it: Callable[[SmallDisk], None],
) -> None:
    """Which of the two it is, is told."""
    world.start()
    world.nothing_stopped()
    break_it(disk)
    door = world.registry("later")
    world.raised("config_unwritable", door.hostname, says=says)
    mend_it(disk)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("config_unwritable", door.hostname)


# As docker-credential-helpers' protocol has it: what is stored is what `get` gives.
WORKING_HELPER: Final = (
    'file=$(dirname "$0")/stored',
    "case $1 in",
    'store) cat >"$file" ;;',
    'get) cat "$file" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;',
    'erase) rm -f "$file" ;;',
    "esac",
)
NOTHING_THERE: Final = "[ $1 = get ] && { echo credentials not found in native keychain; exit 1; }"


@pytest.fixture
def helper(world: World) -> Path:
    """Where the program `docker-credential-theirs` would be; config.json names it for the registry of `helped`."""
    programs = world.sources.directory / "bin"  # a helper may give a login, and keeps ours
    programs.mkdir()
    world.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    return programs / "docker-credential-theirs"


@pytest.fixture
def helped(world: World, helper: Path) -> Door:
    door = world.registry("helped")
    write(world, {"credHelpers": {door.hostname: helper.name.removeprefix("docker-credential-")}})
    return door


@causes("credential_store_failed")
@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (None, "not on the PATH"),
        (["echo keychain is locked >&2; exit 1"], "keychain is locked"),
        ([NOTHING_THERE, "echo not implemented; exit 1"], "cannot store"),
        (["kill -9 $$"], "exit code -9"),
        (["echo '[]'"], "no login"),
        ([NOTHING_THERE, "true"], "has no login"),
        (["sleep 60"], "10 s"),
    ],
    ids=["missing", "fails", "cannot-store", "killed", "nonsense", "forgets", "hangs"],
)
def test_a_helper_that_does_not_work(
    world: World, helper: Path, helped: Door, lines: list[str] | None, says: str
) -> None:
    """It costs its registry's login and no other's; mended, it has the login."""
    if lines is not None:
        script(helper, *lines)
    world.start()
    world.raised("credential_store_failed", helped.hostname, says=says, timeout=25)
    script(helper, *WORKING_HELPER)
    status = world.agent.wait_logged_in(helped.hostname)
    assert {row["stored_in"] for row in status["registries"]} == {"theirs", "config.json"}
    world.cleared("credential_store_failed", helped.hostname)
    assert json.loads((helper.parent / "stored").read_text())["Secret"] == LOGIN["password"]


@causes("login_overridden", "credential_store_failed")
def test_a_helper_with_a_login_of_its_own(world: World, helper: Path, helped: Door) -> None:
    """As ecr-login: it gives another login, and takes none."""
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


@causes("login_overridden")
def test_a_persons_own_docker_login(world: World) -> None:
    """The real `docker login` of somebody else: it stays, until `renew HOST` takes the entry over."""
    door = world.registry("shared", BasicAuth({**USERS, **PERSON}))
    world.start()
    world.agent.wait_logged_in(door.hostname)
    [(person, password)] = PERSON.items()
    login = ("docker", "login", "--username", person, "--password-stdin", door.hostname)
    done = world.here.run(*login, env=world.agent.env, stdin=password)
    assert done.returncode == 0, done.stderr
    warning = world.raised("login_overridden", door.hostname, says="config.json")
    assert "renew" in warning["hint"]
    assert auths(world)[door.hostname] == THEIRS

    renewed = world.agent.command("renew", door.hostname)
    assert renewed.returncode == 0, renewed.stdout + renewed.stderr
    world.cleared("login_overridden", door.hostname)
    assert auths(world)[door.hostname] == OURS


@causes("login_overridden")
def test_an_old_podman_login(world: World) -> None:
    """Podman asks its own file first: it is named, and how to take the login out of it."""
    auth_json = world.home / ".config" / "containers" / "auth.json"
    auth_json.parent.mkdir(parents=True)
    auth_json.write_text(json.dumps({"auths": {world.good.hostname: THEIRS}}))
    world.start()
    warning = world.raised("login_overridden", world.good.hostname, says=str(auth_json))
    assert "podman logout" in warning["hint"]
    auth_json.unlink()
    world.cleared("login_overridden", world.good.hostname)


def test_another_login_in_a_variable(world: World) -> None:
    """DOCKER_AUTH_CONFIG beats every file; a start without it is without the warning."""
    world.start(DOCKER_AUTH_CONFIG=json.dumps({"auths": {world.good.hostname: THEIRS}}))
    world.raised("login_overridden", world.good.hostname, says="DOCKER_AUTH_CONFIG")
    assert world.agent.end() == 0
    world.start()
    world.nothing_stopped()
    assert "login_overridden" not in {warning["code"] for warning in world.agent.status()["warnings"]}


@causes("login_restored")
def test_a_docker_logout(world: World) -> None:
    """The real `docker logout` of a login that is ours: it is back within 5 s, and a notice says so."""
    world.start()
    world.nothing_stopped()
    done = world.here.run("docker", "logout", world.good.hostname, env=world.agent.env)
    assert done.returncode == 0, done.stderr
    assert world.good.hostname not in auths(world)
    until("the entry's return", lambda: auths(world).get(world.good.hostname) == OURS, timeout=5)
    world.raised("login_restored", world.good.hostname)
