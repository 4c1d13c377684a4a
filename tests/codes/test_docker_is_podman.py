"""Podman logs in as docker does. Another program that is named docker gets no password."""

import base64
import json
import shutil
import ssl
from pathlib import Path
from typing import Final

import pytest
import trustme

from tests.codes import here
from tests.codes.causes import causes
from tests.codes.programs import script
from tests.codes.world import LOGIN, USER, Door, World
from tests.doctor.machine import Doctor
from tests.rig.needs import need

REAL_DOCKER: Final = shutil.which("docker")
PODMAN: Final = shutil.which("podman")
PERSONS: Final = base64.b64encode(b"a-person:her-own-password").decode()


@pytest.fixture
def programs(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH. It is empty. Root keeps its capabilities, because podman needs them."""
    monkeypatch.setattr(here, "_POWERLESS", ())
    directory = world.home / "bin"
    directory.mkdir()
    world.env["PATH"] = str(directory)
    return directory


@pytest.fixture
def door(world: World) -> Door:
    """A registry with TLS, so that podman could log in to it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    world.trust(authority.cert_pem.bytes())
    return world.registry("with-tls", tls=context)


@pytest.fixture
def auth_file(world: World, door: Door) -> Path:
    """A person's own logins to the same registries, in podman's file."""
    session = world.home / "session"
    file = session / "containers" / "auth.json"
    file.parent.mkdir(parents=True)
    names = (door.hostname, world.good.hostname)
    file.write_text(json.dumps({"auths": {name: {"auth": PERSONS} for name in names}}))
    world.env["XDG_RUNTIME_DIR"] = str(session)
    return file


def link_podman(programs: Path) -> None:
    (programs / "docker").symlink_to(str(PODMAN))


def script_of_podman_docker(programs: Path) -> None:
    """The script that Debian's package podman-docker installs as /usr/bin/docker."""
    notice = 'echo "Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg." >&2'
    script(programs / "docker", f"[ -e /etc/containers/nodocker ] || {notice}", f'exec {PODMAN} "$@"')


def install_docker(programs: Path) -> None:
    script(programs / "docker", f'exec {REAL_DOCKER} "$@"')


def podman_alone(programs: Path) -> None:
    (programs / "podman").symlink_to(str(PODMAN))


def all_logged_in(world: World, door: Door, auth_file: Path, before: bytes) -> None:
    """The logins are in Docker's file, which podman reads too. The person's file, which it reads first, is the same."""
    assert auth_file.read_bytes() == before
    auths = json.loads((world.agent.docker / "config.json").read_text())["auths"]
    assert auths.keys() == {door.hostname, world.good.hostname}
    assert door.registry.logins[USER]


INSTALLED: Final = {"link": link_podman, "podman-docker": script_of_podman_docker, "alone": podman_alone}


@causes("login_overridden")
@pytest.mark.parametrize("how", INSTALLED)
def test_podman_as_docker(world: World, programs: Path, door: Door, auth_file: Path, how: str) -> None:
    """It logs in. A person's own login in auth.json is not changed, but podman uses it first, so it is reported."""
    need("docker", "podman")
    before = auth_file.read_bytes()
    INSTALLED[how](programs)
    world.start()
    world.agent.wait_logged_in(door.hostname, world.good.hostname)
    world.raised("login_overridden", door.hostname, says=str(auth_file))
    tools = world.agent.status()["tools"]
    assert (tools["docker"]["flavor"], tools["docker"]["present"]) == ("podman", how != "alone")
    assert tools["podman"]["version"]
    seen = Doctor(world)(door.hostname).link("docker cli")["seen"]
    assert f"podman version {tools['podman']['version']}" in seen
    assert not any(warning["code"].startswith("docker_cli") for warning in world.agent.status()["warnings"])
    assert world.agent.command("renew", door.hostname).returncode == 0
    all_logged_in(world, door, auth_file, before)
    auth_file.unlink()
    world.cleared("login_overridden", door.hostname)


@pytest.mark.parametrize("how", INSTALLED)
def test_run_once_with_podman_as_docker(world: World, programs: Path, door: Door, auth_file: Path, how: str) -> None:
    """`run --once` logs in, and exits with 0."""
    need("docker", "podman")
    before = auth_file.read_bytes()
    INSTALLED[how](programs)
    agent = world.prepare()
    done = agent.command("run", "--once", "--config", str(world.settings_file))
    assert done.returncode == 0, done.stdout + done.stderr
    all_logged_in(world, door, auth_file, before)


def test_docker_is_replaced_by_podman_while_the_agent_runs(
    world: World, programs: Path, door: Door, auth_file: Path
) -> None:
    """The next login runs with podman, and writes to nothing else, even before the tools are checked again."""
    need("docker", "podman")
    before = auth_file.read_bytes()
    (programs / "docker").symlink_to(str(REAL_DOCKER))
    world.start()
    world.agent.wait_logged_in(door.hostname)
    for program in (PODMAN, REAL_DOCKER):
        logins = door.registry.logins[USER]
        (programs / "new").symlink_to(str(program))
        (programs / "new").replace(programs / "docker")
        assert world.agent.command("renew", door.hostname).returncode == 0
        assert door.registry.logins[USER] > logins
    assert auth_file.read_bytes() == before


@causes("login_rejected")
def test_a_wrong_password_with_podman(world: World, programs: Path, door: Door) -> None:
    """It is recognised in podman's own words, and is sent once."""
    need("podman")
    podman_alone(programs)
    world.agent.give(door.secret, door.hostname, username=USER, password=world.sources.secret("wrong"))
    world.start({"retry": {"rejected_wait_s": 600}})
    world.raised("login_rejected", door.hostname)
    assert door.registry.wrong == {USER: 1}
    world.agent.give(door.secret, door.hostname, **LOGIN)
    world.cleared("login_rejected", door.hostname)


@causes("docker_cli_failed")
@pytest.mark.parametrize(
    ("prints", "says"),
    [
        ("echo nerdctl version 1.7.6", "is nerdctl 1.7.6, not Docker's own CLI"),
        ("echo finch version v1.2.0", "is finch v1.2.0, not Docker's own CLI"),
        ("true", "prints no version"),
        ("kill -9 $$", "killed by signal 9"),
    ],
    ids=["nerdctl", "finch", "prints no version", "killed"],
)
def test_another_program_as_docker(world: World, programs: Path, prints: str, says: str) -> None:
    """It is named if it prints its name. Its stdin stays closed, so it never gets a password."""
    need("docker")
    given = world.home / "given"
    script(programs / "docker", f'[ "$*" = --version ] && {{ {prints}; exit; }}', f"PATH=/bin:/usr/bin; cat >>{given}")
    world.good_state = "skipped"
    world.start()
    world.raised("docker_cli_failed", "docker", says=says)
    assert world.agent.command("renew").returncode == 2
    assert not given.exists()
    world.good_state = "logged_in"
    install_docker(programs)
    world.cleared("docker_cli_failed", "docker", timeout=30)
    world.agent.wait_logged_in(world.good.hostname)


def test_a_script_that_claims_to_be_docker_and_runs_podman(
    world: World, programs: Path, door: Door, auth_file: Path
) -> None:
    """A wrapper that looks like docker, but runs podman. It writes into the private directory."""
    need("docker", "podman")
    before = auth_file.read_bytes()
    version = '[ "$*" = --version ] && { echo "Docker version 28.2.2, build e6534b4"; exit; }'
    script(programs / "docker", version, f'exec {PODMAN} "$@"')
    world.start()
    world.agent.wait_for("an attempt", lambda s: any(row["attempts"] for row in s["registries"]))
    world.agent.command("renew", door.hostname)
    assert door.registry.logins[USER]
    assert auth_file.read_bytes() == before
