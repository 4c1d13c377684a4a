"""Another program that is named docker gets no password. With Docker's own CLI, the logins work."""

import base64
import json
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import trustme

from tests.codes import here
from tests.codes.causes import causes
from tests.codes.programs import script
from tests.codes.world import USER, Door, World
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
def door(world: World, tmp_path: Path) -> Door:
    """A registry with TLS, so that podman could log in to it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    world.env["SSL_CERT_FILE"] = str(tmp_path / "ca.pem")
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


def no_login_was_tried(world: World, door: Door, auth_file: Path, before: bytes) -> None:
    assert auth_file.read_bytes() == before
    assert not (world.agent.docker / "config.json").exists()
    for each in (door, world.good):
        row = world.agent.registry(each.hostname)
        assert row is not None
        assert (row["state"], row["attempts"]) == ("skipped", 0)
        assert not each.registry.logins[USER]


@causes("docker_cli_failed")
@pytest.mark.parametrize("install", [link_podman, script_of_podman_docker], ids=["link", "podman-docker"])
def test_podman_as_docker(
    world: World, programs: Path, door: Door, auth_file: Path, install: Callable[[Path], None]
) -> None:
    """The warning names podman, a person's auth.json is not changed, and a real docker logs in later."""
    need("docker", "podman")
    before = auth_file.read_bytes()
    install(programs)
    world.good_state = "skipped"
    world.start()
    warning = world.raised("docker_cli_failed", "docker", says=f"{programs}/docker is podman ")
    assert "install Docker's own CLI" in warning["hint"]
    row = world.agent.registry(door.hostname)
    assert row is not None
    assert "podman" in row["last_error"]
    assert world.agent.command("renew").returncode == 2
    assert "podman" in world.agent.command("doctor").stdout
    no_login_was_tried(world, door, auth_file, before)

    world.good_state = "logged_in"
    (programs / "docker").unlink()
    install_docker(programs)
    world.agent.wait_logged_in(door.hostname, world.good.hostname, timeout=30)
    world.cleared("docker_cli_failed", "docker")
    assert auth_file.read_bytes() == before


@pytest.mark.parametrize("install", [link_podman, script_of_podman_docker], ids=["link", "podman-docker"])
def test_run_once_with_podman_as_docker(
    world: World, programs: Path, door: Door, auth_file: Path, install: Callable[[Path], None]
) -> None:
    """`run --once` makes no login, and exits with 2."""
    need("docker", "podman")
    before = auth_file.read_bytes()
    install(programs)
    agent = world.prepare()
    assert agent.command("run", "--once", "--config", str(world.settings_file)).returncode == 2
    assert auth_file.read_bytes() == before
    assert not (agent.docker / "config.json").exists()
    assert not door.registry.logins


@causes("docker_cli_failed")
def test_docker_is_replaced_by_podman_while_the_agent_runs(
    world: World, programs: Path, door: Door, auth_file: Path
) -> None:
    """The next login detects it, even if the agent has not checked the tools since."""
    need("docker", "podman")
    before = auth_file.read_bytes()
    (programs / "docker").symlink_to(str(REAL_DOCKER))
    world.start()
    world.agent.wait_logged_in(door.hostname)
    logins = door.registry.logins[USER]
    (programs / "new").symlink_to(str(PODMAN))
    (programs / "new").replace(programs / "docker")
    assert world.agent.command("renew", door.hostname).returncode == 2
    world.raised("docker_cli_failed", "docker", says="is podman")
    assert auth_file.read_bytes() == before
    assert door.registry.logins[USER] == logins

    (programs / "new").symlink_to(str(REAL_DOCKER))
    (programs / "new").replace(programs / "docker")
    world.cleared("docker_cli_failed", "docker", timeout=30)
    assert world.agent.command("renew", door.hostname).returncode == 0


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
