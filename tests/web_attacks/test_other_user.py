"""What another user of the same machine can do with the socket and the agent's files."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.codes.here import Here
from tests.codes.programs import script
from tests.codes.world import World
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.needs import need
from tests.rig.waiting import until
from tests.web_attacks.target import Target

STRANGER: Final = 64321
"""A user and group that own nothing here."""
_TRY: Final = """
import json, os, socket, sys
def attempt(act):
    try:
        return str(act())
    except OSError as error:
        return type(error).__name__
def connect(kind):
    with socket.socket(socket.AF_UNIX, kind) as connection:
        connection.connect(sys.argv[1])
        return "connected"
paths = sys.argv[2:]
print(json.dumps({
    "stream": attempt(lambda: connect(socket.SOCK_STREAM)),
    "datagram": attempt(lambda: connect(socket.SOCK_DGRAM)),
    "unlink": attempt(lambda: os.unlink(sys.argv[1])),
    "rename": attempt(lambda: os.rename(sys.argv[1], sys.argv[1] + ".old")),
    "chmod": attempt(lambda: os.chmod(sys.argv[1], 0o777)),
    "plant": attempt(lambda: open(os.path.dirname(sys.argv[1]) + "/planted", "w")),
    **{path: attempt(lambda: open(path).read()) for path in paths},
}))
"""


@pytest.fixture
def target(home: Path) -> Iterator[Target]:
    """Start an agent whose directories every user may enter, as with /run and /home. Only the files' modes protect."""
    need("setpriv")
    home.chmod(0o755)
    with Target(home, token=True) as target:
        yield target


def stranger(*args: str | Path) -> list[str]:
    """Return the command to run as a second user, without any of root's privileges."""
    return [
        "setpriv",
        f"--reuid={STRANGER}",
        f"--regid={STRANGER}",
        "--clear-groups",
        "--bounding-set=-all",
        *map(str, args),
    ]


def run(*args: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **(env or {})}
    return subprocess.run(
        stranger(*args), env=environment, cwd="/", capture_output=True, text=True, timeout=30, check=False
    )


def test_the_socket_refuses_another_user(target: Target) -> None:
    """They cannot connect, remove or replace the socket, or read any of the agent's files."""
    home = target.agent.runtime.parent
    files = [home / "token", target.agent.state / "state.json", target.agent.docker / "config.json"]
    files += [Path(f"/proc/{target.pid}/environ"), Path(f"/proc/{target.pid}/mem")]
    for path in files:
        assert path.exists()
    done = run(sys.executable, "-I", "-c", _TRY, target.socket, *files)
    assert done.returncode == 0, done.stderr
    tried = json.loads(done.stdout)
    assert set(tried.values()) == {"PermissionError"}, tried
    assert target.attempts() == 1


def test_commands_of_another_user_are_refused(target: Target) -> None:
    """They report missing permission, do not advise to start an agent, and renew nothing. The own user is served."""
    for command in ("status", "renew"):
        done = run(REGISTRY_AGENT, command, "--socket", target.socket, env={"HOME": "/"})
        assert done.returncode == 1, done
        assert done.stderr.endswith("\nrun this command as the user of that agent, or as root\n")
        assert target.hostname not in done.stdout + done.stderr
    assert target.attempts() == 1
    assert target.agent.command("renew").returncode == 0
    assert target.attempts() == 2


_REACH: Final = """
import json, os, sys
reached = []
for top, directories, files in os.walk(sys.argv[1]):
    reached += [top] if os.access(top, os.W_OK) else []
    reached += [p for p in (os.path.join(top, f) for f in files) if os.access(p, os.R_OK) or os.access(p, os.W_OK)]
print(json.dumps(reached))
"""
# Like most helpers, it relies on the umask of the process that starts it.
_HELPER: Final = (
    'file="$HOME/kept/by-helper"',
    "case $1 in",
    'store) mkdir -p "$HOME/kept"; cat >"$file" ;;',
    'get) cat "$file" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;',
    "esac",
)


def test_other_users_cannot_read_what_it_creates(home: Path) -> None:
    """Without a umask, this holds for its files, their directories, and what a credential helper stores for it."""
    need("setpriv")
    home.chmod(0o755)
    here = Here(("sh", "-c", 'umask 0 && exec "$@"', "sh"))
    world = World(here, home)
    try:
        helped = world.registry("helped")
        (home / "bin").mkdir()
        script(home / "bin" / "docker-credential-theirs", *_HELPER)
        world.env["PATH"] = f"{home / 'bin'}:{os.environ['PATH']}"
        docker, state = home / "made/for/docker", home / "made/for/state"
        agent = world.prepare({"docker": {"config_dir": str(docker)}})
        agent.env["STATE_DIRECTORY"] = str(state)
        agent.start()
        agent.wait_logged_in(world.good.hostname, helped.hostname)
        config = json.loads((docker / "config.json").read_text())
        (docker / "config.json").write_text(json.dumps({**config, "credHelpers": {helped.hostname: "theirs"}}))
        until("the helper's store", (home / "kept" / "by-helper").exists)
        until("the agent's own memory", (state / "state.json").exists)
        reached = run(sys.executable, "-I", "-c", _REACH, home)
        assert reached.returncode == 0, reached.stderr
        own = ("bin/docker-credential-theirs", "programs/aws", "authorities.pem", "log", "config.toml")
        rig = [home / name for name in own]
        theirs = [path for path in map(Path, json.loads(reached.stdout)) if path not in rig]
        assert [path for path in theirs if world.agent.secrets not in path.parents] == []
        for top in (home / "made", home / "kept", docker, state):
            assert top.stat().st_mode & 0o077 == 0, top
    finally:
        world.close()
        here.close()
