"""What becomes of a login whose password comes from a command or a file: renewal, replacement, rejection, trust."""

import base64
import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from agent.demo.registries import BasicAuth
from tests.codes.causes import causes
from tests.codes.programs import script
from tests.codes.servers import ControlPlane
from tests.codes.sources import PLAIN
from tests.codes.world import PASSWORD, USER, Door, World
from tests.rig.waiting import until
from tests.scenarios.passwords import CODE, right


def stored(world: World, door: Door) -> str:
    """The password that Docker holds."""
    auth = world.agent.docker_config()["auths"].get(door.hostname, {}).get("auth", "")
    return base64.b64decode(auth).decode().partition(":")[2]


def printing(path: Path, **answer: Any) -> str:
    """Write what a command prints into a file, and return the line of its script."""
    path.write_text(json.dumps(answer))
    return f"cat {shlex.quote(str(path))}"


@pytest.fixture
def program(world: World) -> Path:
    return world.sources.directory / "program"


@causes(CODE, "renewal_failing")
def test_the_login_stays_while_the_command_fails(world: World, program: Path) -> None:
    """A warning until the password ends. The command runs again at half of the life that it printed."""
    login = world.sources.directory / "login.json"
    script(program, f"touch {program}.ran", printing(login, username=USER, password=PASSWORD, expires_in=20))
    door = world.registry("team", secret={"password_command": [str(program)]})
    world.start()
    row = world.agent.wait_logged_in(door.hostname)["registries"]
    assert next(row for row in row if row["hostname"] == door.hostname)["expires_at"] is not None
    script(program, "exit 4")
    world.raised(CODE, door.hostname, severity="warning", says="status 4")
    world.raised("renewal_failing", door.hostname)
    assert stored(world, door) == PASSWORD
    world.agent.wait_logged_in(door.hostname)
    script(program, printing(login, username=USER, password=PASSWORD, expires_in="3600"))
    world.cleared(CODE, door.hostname)
    world.cleared("renewal_failing", door.hostname)


def test_a_login_without_an_end_stays_at_a_restart_while_the_command_fails(world: World, program: Path) -> None:
    """It works, so nobody has to act yet. Once it is gone, somebody has to."""
    script(program, f"cat {shlex.quote(str(right(world)))}")
    door = world.registry("team", secret={"username": USER, "password_command": [str(program)]})
    world.start()
    world.agent.wait_logged_in(door.hostname)
    world.agent.end()
    script(program, "exit 4")
    world.start()
    world.raised(CODE, door.hostname, severity="warning", says="status 4")
    world.agent.wait_logged_in(door.hostname)
    assert stored(world, door) == PASSWORD
    world.agent.end()
    config = world.agent.docker_config()
    del config["auths"][door.hostname]
    (world.agent.docker / "config.json").write_text(json.dumps(config))
    world.start()
    world.raised(CODE, door.hostname, severity="error", says="status 4")
    row = world.agent.registry(door.hostname)
    assert row is not None
    assert row["state"] == "retrying"
    script(program, f"cat {shlex.quote(str(right(world)))}")
    world.cleared(CODE, door.hostname)


@causes(CODE)
def test_a_command_that_never_worked_is_an_error(world: World, program: Path) -> None:
    """Nothing is logged in, so somebody must act."""
    script(program, "exit 4")
    door = world.registry("team", secret={"username": USER, "password_command": [str(program)]})
    world.start()
    world.raised(CODE, door.hostname, severity="error")
    script(program, f"cat {shlex.quote(str(right(world)))}")
    world.cleared(CODE, door.hostname)


def test_a_rotated_kubernetes_token_is_used(world: World) -> None:
    """Kubelet changes the link `..data` to another directory. Docker has the new token soon after that."""
    mount, users = world.sources.directory / "token-mount", {USER: ""}
    mount.mkdir()
    (mount / "token").symlink_to("..data/token")

    def rotate(version: str) -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time()) + 3600, "v": version}).encode())
        users[USER] = f"{world.sources.secret(version, '')}.{claims.decode().rstrip('=')}.signature"
        (mount / f"..{version}").mkdir()
        (mount / f"..{version}" / "token").write_text(users[USER])
        (mount / "..new").symlink_to(f"..{version}")
        os.replace(mount / "..new", mount / "..data")  # noqa: PTH105 - as kubelet does
        return users[USER]

    first = rotate("first")
    door = world.registry("pod", BasicAuth(users), {"username": USER, "password_file": str(mount / "token")})
    world.start()
    world.agent.wait_logged_in(door.hostname)
    assert stored(world, door) == first
    second = rotate("second")
    until("the rotated token", lambda: stored(world, door) == second)
    row = world.agent.registry(door.hostname)
    assert row is not None
    assert row["expires_at"] is not None


@causes("login_rejected")
def test_a_rejected_password_is_not_sent_again_but_a_new_one_is(world: World) -> None:
    """Also after a restart, which finds the same password in the file. The registry counts the attempts.

    The file is next to the secrets, and is not taken for one.
    """
    path, users = world.agent.secrets / "team.token", {USER: PASSWORD}
    path.write_text(world.sources.secret("wrong", PLAIN))
    world.defaults["retry"] = {**world.defaults["retry"], "rejected_wait_s": 3600}
    auth, attempts = BasicAuth(users), []

    async def counted(request: Any) -> Any:
        if "Authorization" in request.headers:
            attempts.append(request.path)
        return await auth(request)

    door = world.registry("team", counted, {"username": USER, "password_file": str(path)})
    world.start()
    world.raised("login_rejected", door.hostname)
    before = len(attempts)
    world.agent.end()
    world.start()
    world.raised("login_rejected", door.hostname)
    assert len(attempts) == before
    replacement = world.sources.directory / "replacement"
    replacement.write_text(PASSWORD)
    replacement.rename(path)
    world.cleared("login_rejected", door.hostname)
    status = world.agent.wait_logged_in(door.hostname)
    assert [warning for warning in status["warnings"] if warning["code"] == "secret_invalid"] == []


@causes("secret_invalid")
def test_a_command_from_the_url_needs_a_setting(world: World, program: Path) -> None:
    """Without it, the program does not run. With it, the login works at once."""
    ran = Path(f"{program}.ran")
    script(program, f"touch {shlex.quote(str(ran))}", f"cat {shlex.quote(str(right(world)))}")
    door = world.registry("from-url")
    (world.agent.secrets / f"{door.secret}.json").unlink()
    secret = {"name": "remote", "hostname": door.hostname, "username": USER, "password_command": [str(program)]}
    url = f"{world.serve(ControlPlane([secret]).handle).url}/v1/secrets"
    world.defaults["secrets"] = {"url": url, "poll_interval_s": 1}
    world.start()
    warning = world.raised("secret_invalid", f"{url}#remote", says="secrets.allow_commands")
    assert "secrets.allow_commands to true" in warning["hint"]
    assert not ran.exists()
    world.set(secrets={"allow_commands": True})
    world.cleared("secret_invalid", f"{url}#remote")
    world.agent.wait_logged_in(door.hostname)


@causes("secret_invalid")
def test_a_command_from_a_file_of_another_user_is_refused(world: World, program: Path) -> None:
    """Who can write the file could run programs as the agent's user. The program does not run."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    ran = Path(f"{program}.ran")
    script(program, f"touch {shlex.quote(str(ran))}", f"cat {shlex.quote(str(right(world)))}")
    door = world.registry("shared", secret={"username": USER, "password_command": [str(program)]})
    path = world.agent.secrets / f"{door.secret}.json"
    os.chown(path, 12345, -1)
    world.start()
    world.raised("secret_invalid", f"{path}#{door.secret}", says="password_command is accepted only from a file")
    assert not ran.exists()
    os.chown(path, 0, -1)
    world.cleared("secret_invalid", f"{path}#{door.secret}")
    world.agent.wait_logged_in(door.hostname)
