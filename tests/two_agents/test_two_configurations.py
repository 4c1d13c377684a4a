"""Several agents of one user, each with its own Docker configuration: none takes anything from another."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.codes.programs import script
from tests.codes.world import World
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.waiting import PATIENCE_S, until


def run(world: World, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run another command of the agent, with the same directories."""
    return subprocess.run(
        world.here.args([str(REGISTRY_AGENT), *args, "--config", str(world.settings_file)]),
        env={**world.agent.env, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def replace_login(world: World, username: str, password: str) -> None:
    """Replace the agent's login, as `docker login` of a person would."""
    file = world.agent.docker / "config.json"
    document = json.loads(file.read_bytes())
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    document["auths"][world.good.hostname] = {"auth": auth}
    file.write_text(json.dumps(document))


def test_a_run_elsewhere_costs_no_login_its_owner(world: World) -> None:
    """CI scripts run `DOCKER_CONFIG=elsewhere registry-agent run --once`. A person's login must survive that."""
    world.start()
    world.nothing_stopped()
    assert world.agent.end() == 0
    replace_login(world, "ada", "her own password")
    done = run(world, "run", "--once", DOCKER_CONFIG=str(world.home / "elsewhere"))
    assert done.returncode == 0, done.stdout
    assert world.good.hostname in (world.home / "elsewhere/config.json").read_text()
    before = world.agent.docker_config()
    world.start()
    world.raised("login_overridden", world.good.hostname)
    assert world.agent.docker_config() == before


def test_a_run_elsewhere_next_to_an_agent_costs_no_login_its_owner(world: World) -> None:
    """The agent still knows its own login after a restart, and replaces it when the secret changes."""
    world.start()
    world.nothing_stopped()
    assert run(world, "run", "--once", DOCKER_CONFIG=str(world.home / "elsewhere")).returncode == 0
    assert run(world, "run", "--once").returncode == 75, "the agent holds the lock on its own configuration"
    assert world.agent.end() == 0
    world.start()
    world.nothing_stopped()
    assert not [warning for warning in world.agent.status()["warnings"] if warning["code"] == "login_overridden"]
    stored_in = world.agent.registry(world.good.hostname)
    assert stored_in is not None
    assert stored_in["stored_in"] == "config.json"


@pytest.mark.parametrize("other", ["doctor", "run --once", "another agent"])
def test_another_command_ends_no_login(world: World, other: str) -> None:
    """The agent's login takes a while. Meanwhile, another command starts, logs in by itself, and ends."""
    docker, programs = shutil.which("docker"), world.home / "slow"
    began, go_on = world.home / "began", world.home / "go on"
    programs.mkdir()
    wait = f'case "$*" in *login*) touch "{began}"; until [ -e "{go_on}" ]; do sleep 0.05; done;; esac'
    script(programs / "docker", f'{wait}; exec {docker} "$@"')
    world.prepare({"docker": {"login_timeout_s": PATIENCE_S}}, PATH=f"{programs}:{os.environ['PATH']}")
    world.agent.start()
    until("a login that waits", began.exists)
    usual = {"PATH": world.env["PATH"], "DOCKER_CONFIG": str(world.home / "elsewhere")}
    if other == "another agent":
        _start_and_stop(world, usual)
    else:
        done = run(world, *other.split(), **usual)
        # The doctor finds no login elsewhere, which is right.
        assert done.returncode == (2 if other == "doctor" else 0), done.stdout
        assert other != "doctor" or "accepts user" in done.stdout
    assert [*world.agent.runtime.glob("logins-*/config.json")], "the agent's login has lost its directory"
    go_on.touch()
    world.agent.wait_logged_in(world.good.hostname)
    row = world.agent.registry(world.good.hostname)
    assert row is not None
    assert (row["attempts"], row["last_error"]) == (1, None)


def _start_and_stop(world: World, env: dict[str, str]) -> None:
    """Run another daemon until it has logged in."""
    elsewhere = Path(env["DOCKER_CONFIG"], "config.json")
    command = [str(REGISTRY_AGENT), "run", "--config", str(world.settings_file)]
    with subprocess.Popen(
        world.here.args(command), env={**world.agent.env, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        try:
            until(
                "the other agent's login", lambda: elsewhere.exists() and world.good.hostname in elsewhere.read_text()
            )
        finally:
            running.terminate()
    assert running.returncode == 0


def test_others_may_still_use_the_socket_after_a_run_made_its_directory(world: World) -> None:
    """`run --once` may come first and make the runtime directory. The agent's group must be able to enter it."""
    world.agent.runtime.rmdir()
    assert run(world, "run", "--once", DOCKER_CONFIG=str(world.home / "elsewhere")).returncode == 0
    assert world.agent.runtime.stat().st_mode & 0o777 == 0o755
    world.start()
    assert world.agent.runtime.stat().st_mode & 0o777 == 0o755
