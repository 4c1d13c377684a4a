"""Missing and broken programs, and a missing engine."""

import grp
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Final

import pytest

from tests.codes.causes import causes
from tests.codes.programs import script
from tests.codes.servers import Engine
from tests.codes.world import World
from tests.fakecloud.faults import Broken
from tests.rig.agent import Status
from tests.rig.needs import need_root

REAL_DOCKER: Final = shutil.which("docker")


@pytest.fixture
def programs(world: World) -> Path:
    """The only directory on PATH. It is empty."""
    directory = world.home / "bin"
    directory.mkdir()
    world.env["PATH"] = str(directory)
    return directory


def install_docker(programs: Path) -> None:
    script(programs / "docker", f'exec {REAL_DOCKER} "$@"')


@causes("docker_cli_missing", "aws_cli_missing", "engine_unreachable")
def test_no_programs_installed(world: World, programs: Path) -> None:
    """Without docker, registries are skipped. Within a minute after it appears, they log in."""
    door = world.ecr(world.aws())
    world.good_state = "skipped"
    world.start()
    world.raised("docker_cli_missing", "docker")
    world.raised("aws_cli_missing", "aws")
    world.raised("engine_unreachable", "engine")
    assert world.agent.status()["phase"] == "running"

    engine = Engine()
    install_docker(programs)
    script(programs / "aws", "echo aws-cli/2.31.0 Python/3.13 Linux/6.1")
    world.here.call(engine.start(world.home / "no-engine.sock"))
    try:
        world.good_state = "logged_in"
        world.agent.wait_logged_in(world.good.hostname, door.hostname, timeout=30)
        for code, subject in (("docker_cli_missing", "docker"), ("aws_cli_missing", "aws")):
            world.cleared(code, subject)
        world.cleared("engine_unreachable", "engine")
        tools = world.agent.status()["tools"]
        assert tools["docker"]["engine"] == "reachable"
        assert tools["aws"] == {"present": True, "path": str(programs / "aws"), "version": "2.31.0"}
    finally:
        world.here.call(engine.stop())


def test_the_first_login_does_not_share_the_processor_with_aws(world: World, programs: Path) -> None:
    """`aws --version` takes up to a second of processor time, and starts when the login has ended."""
    order = world.home / "order"
    script(programs / "docker", f'{REAL_DOCKER} "$@"', "code=$?", f"echo docker $* >> {order}", "exit $code")
    script(programs / "aws", f"echo aws >> {order}", "echo aws-cli/2.31.0 Python/3.13 Linux/6.1")
    world.start()
    world.agent.wait_for("the version of aws", lambda status: status["tools"]["aws"]["version"])
    before_aws = order.read_text().partition("aws\n")[0]
    assert " login " in before_aws


@causes("engine_forbidden")
def test_an_engine_that_this_user_may_not_ask(world: World, programs: Path) -> None:
    """It is the engine of the current context. The warning names the socket and its group, and the hint the command."""
    need_root("to give the socket to another user")
    install_docker(programs)
    engine, socket = Engine(), world.home / "other.sock"
    context = world.agent.docker / "contexts/meta" / hashlib.sha256(b"other").hexdigest()
    context.mkdir(parents=True)
    meta = {"Name": "other", "Endpoints": {"docker": {"Host": f"unix://{socket}"}}}
    (context / "meta.json").write_text(json.dumps(meta))
    (world.agent.docker / "config.json").write_text(json.dumps({"currentContext": "other"}))
    del world.env["DOCKER_HOST"]
    world.here.call(engine.start(socket))
    try:
        os.chown(socket, 65534, grp.getgrnam("games").gr_gid)
        socket.chmod(0o660)
        world.start()
        warning = world.raised("engine_forbidden", "engine", says=str(socket))
        assert "group games" in warning["message"]
        assert "`sudo usermod --append --groups games root`" in warning["hint"]
        assert world.agent.status()["tools"]["docker"]["engine"] == "unreachable"
        assert "engine_forbidden" in world.agent.command("doctor").stdout
        os.chown(socket, 0, 0)
        world.reload()
        world.cleared("engine_forbidden", "engine")
        assert world.agent.status()["tools"]["docker"]["engine"] == "reachable"
    finally:
        world.here.call(engine.stop())


@causes("docker_cli_missing")
def test_docker_is_missing_for_a_moment(world: World, programs: Path) -> None:
    """A login that does not find docker reports it, waits for it, and works within a minute."""
    install_docker(programs)
    world.start({"retry": {"first_wait_s": 300, "max_wait_s": 300}})
    world.well_again(world.good.hostname)
    (programs / "docker").rename(programs / "away")
    assert world.agent.command("renew", world.good.hostname).returncode == 2
    world.raised("docker_cli_missing", "docker", timeout=5)
    (programs / "away").rename(programs / "docker")
    world.cleared("docker_cli_missing", "docker", timeout=30)

    def is_well(status: Status) -> bool:
        row = next(row for row in status["registries"] if row["hostname"] == world.good.hostname)
        return row["last_error"] is None and row["attempts"] > 1

    world.agent.wait_for("its login", is_well, 30)


@causes("docker_cli_failed", "engine_unresponsive")
def test_a_docker_and_an_engine_that_do_not_work(world: World, programs: Path) -> None:
    """A CLI that prints no version is not used for logins. An engine that stays silent prevents no login.

    SIGHUP makes the agent check at once, and the logins follow.
    """
    script(programs / "docker", '[ "$1" = --version ] && exit 3', f'exec {REAL_DOCKER} "$@"')
    engine = Engine()
    engine.fault = Broken.SILENT
    world.good_state = "skipped"
    world.here.call(engine.start(world.home / "no-engine.sock"))
    try:
        world.start()
        world.raised("docker_cli_failed", "docker")
        world.raised("engine_unresponsive", "engine")
        world.good_state = "logged_in"
        install_docker(programs)
        engine.fault = None
        world.reload()
        world.cleared("docker_cli_failed", "docker")
        world.cleared("engine_unresponsive", "engine")
    finally:
        world.here.call(engine.stop())
