"""What holds for every report: it is in time, it changes nothing, and it reveals no secret."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.codes.programs import script
from tests.codes.world import LOGIN, NATIVE, PASSWORD, World
from tests.doctor.machine import Doctor
from tests.fakecloud.faults import Answer
from tests.hunt.canary import Canary, Hunt
from tests.hunt.sampler import Sampler
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.hanging import HangingDirectory
from tests.rig.needs import need
from tests.rig.waiting import PATIENCE_S, until

TOTAL_S: Final = 100.0
"""The doctor ends within 30 s, or later on a busy machine. The kernel gives up on a connection after two minutes."""
EVIL: Final = "\x1b]0;owned\x07\u202e\u2028"
DEAD: Final = """
import signal, socket
kept = [socket.socket(type=socket.SOCK_DGRAM)]
kept[0].bind(("10.9.9.9", 53))
for place in (("10.9.9.7", 443), ("10.9.9.8", 443), ("169.254.169.254", 80)):
    kept.append(socket.create_server(place, backlog=0))
    for _ in range(3):  # what does not fit into the queue is dropped
        kept.append(socket.socket())
        kept[-1].setblocking(False)
        kept[-1].connect_ex(place)
signal.pause()
"""


def test_ends_in_time_on_a_dead_network(world: World, doctor: Doctor) -> None:
    """Nothing answers and nothing is refused. The doctor still ends within 30 s, and shows which checks failed."""
    need("unshare", "ip", "setpriv", "ss")
    (world.home / "dead.py").write_text(DEAD)
    (world.home / "resolv.conf").write_text("nameserver 10.9.9.9\n")
    setup = f"""
        ip link set lo up
        for address in 10.9.9.7 10.9.9.8 10.9.9.9 169.254.169.254; do ip address add $address/32 dev lo; done
        mount --bind {world.home}/resolv.conf "$(realpath /etc/resolv.conf)"
        setpriv --pdeathsig KILL {sys.executable} {world.home}/dead.py >/dev/null 2>&1 &
        until [ "$(ss -ltnH | wc -l)" = 3 ]; do :; done
        exec "$@"
    """
    world.here.before = (str(shutil.which("unshare")), "--net", "--mount", "sh", "-ec", setup, "sh")
    cloud = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    world.agent.give("far", "10.9.9.7", **LOGIN)
    world.agent.give("named", "registry.example", **LOGIN)
    world.agent.give("cloud", cloud, **NATIVE)
    world.prepare({"secrets": {"url": "https://10.9.9.8/v1/secrets"}})
    started = time.monotonic()
    report = doctor()
    assert time.monotonic() - started < TOTAL_S
    assert report.link("tcp", "10.9.9.7")["code"] == "registry_timeout"
    assert report.link("dns", "registry.example")["code"] == "registry_dns"
    assert report.link("aws identity", cloud)["code"] == "aws_credentials_missing"
    assert "secrets_unavailable" in {link["code"] for link in report.links("secrets")}


def _snapshot(home: Path) -> dict[str, tuple[object, ...]]:
    """Each file and directory with its content and times, except the access time."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [home, *home.rglob("*")]:
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[str(path)] = (content, about.st_ino, about.st_mode, about.st_mtime_ns, about.st_ctime_ns)
    return found


@pytest.mark.parametrize("variable", ["HOME", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"])
def test_ends_in_time_if_a_directory_of_the_agent_hangs(
    world: World, doctor: Doctor, hanging: HangingDirectory, variable: str
) -> None:
    """As in a home directory on an NFS server that is down. All other checks have results."""
    world.prepare()
    world.agent.env[variable] = str(hanging.path / "directory")
    report = doctor(world.good.hostname, timeout=TOTAL_S)
    assert report.code == 2
    assert report.link("/v2/", world.good.hostname)["outcome"] == "ok"
    assert "time ran out" not in json.dumps(report.document)


def test_changes_nothing(world: World, doctor: Doctor) -> None:
    """Configuration, state, stores and secrets keep their bytes and times. No agent runs that could change them."""
    wrong = world.registry("wrong", secret={"username": "robot", "password": "not-it"})
    door = world.ecr(world.aws(token_life_s=43200))
    world.start({"retry": {"rejected_wait_s": 600}})
    world.agent.wait_logged_in(world.good.hostname, door.hostname)
    world.raised("login_rejected", wrong.hostname)
    world.agent.end()
    assert (world.agent.state / "state.json").exists()
    before = _snapshot(world.home)
    for arguments in ((), (f"{wrong.hostname}/org/app:1", "--try")):
        doctor(*arguments)
        after = _snapshot(world.home)
        # The login ran in the runtime directory, which is empty again. Only its times have changed.
        runtime = str(world.agent.runtime)
        assert after.keys() == before.keys()
        assert {path for path in after if after[path] != before[path]} <= {runtime}
    directories = (world.agent.runtime, world.agent.state)
    for directory in directories:
        directory.rename(world.home / f"away-{directory.name}")
    doctor(door.hostname)
    assert not any(directory.exists() for directory in directories)


def test_reveals_no_secret(world: World) -> None:
    """Neither in the reports nor in the arguments or environment of children, even if a registry repeats a password."""
    made = [Canary.make(name, "+/") for name in ("a refused password", "a variable")]
    canaries = [Canary("the password", PASSWORD), *made]
    parrot = world.registry("parrot", secret={"username": "robot", "password": canaries[1].value})
    parrot.registry.fault = Answer(403, f"robot:{canaries[1].value} may not come in")
    aws = world.aws(token_life_s=43200)
    door = world.ecr(aws)
    world.prepare(SOMEBODYS_TOKEN=canaries[2].value, AWS_CONTAINER_AUTHORIZATION_TOKEN=canaries[2].value)
    process: subprocess.Popen[bytes] | None = None
    sampler = Sampler(lambda: process.pid if process else None)
    heard: dict[str, bytes] = {}
    for number, arguments in enumerate(([], ["--json", f"{door.hostname}/org/app:1"])):
        command = [str(REGISTRY_AGENT), "doctor", "--config", str(world.settings_file), *arguments]
        process = subprocess.Popen(
            world.here.args(command), env=world.agent.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        heard[f"output {number}"] = process.communicate()[0]
    children = sampler.stop()
    assert any(b"--password-stdin" in content for content in children.values()), "no docker login was seen"
    tokens = [Canary("a token", token.password) for token in aws.tokens.issued]
    assert tokens
    found = Hunt([*canaries, *tokens]).found({**heard, **children})
    assert not found, "\n".join(found)


def test_outside_text_cannot_drive_the_terminal(world: World, doctor: Doctor) -> None:
    """No control characters from a registry, a helper or a file are printed, and no line exceeds 80 columns."""
    programs = world.home / "bin"
    programs.mkdir()
    script(programs / "docker-credential-evil", "printf '\\033[2J\\007\\302\\233 locked' >&2; exit 1")
    evil = world.registry("evil")
    evil.registry.fault = Answer(500, EVIL + "x" * 5000, headers={"WWW-Authenticate": 'Basic realm="\u00e9\u009b2J"'})
    (world.agent.docker / "config.json").write_text(json.dumps({"credHelpers": {evil.hostname: "evil"}}))
    world.prepare(PATH=f"{programs}:{os.environ['PATH']}")
    words = doctor.words()
    assert "registry_error" in words
    assert max(map(len, words.splitlines())) <= 80
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2028"} & set(words)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(world: World, how: signal.Signals) -> None:
    """A signal during a login removes its directory, in which a password may be, and its processes."""
    programs = world.home / "bin"
    programs.mkdir()
    began = world.home / "began"
    script(
        programs / "docker", f"case $* in *login*) touch {began}; exec sleep 60;; *) echo Docker version 28.2.2;; esac"
    )
    world.prepare(PATH=f"{programs}:{os.environ['PATH']}")
    process = subprocess.Popen(
        world.here.args([str(REGISTRY_AGENT), "doctor", "--config", str(world.settings_file)]), env=world.agent.env
    )
    until("a login", began.exists)
    assert list(world.agent.runtime.glob("logins-*"))
    process.send_signal(how)
    assert process.wait(PATIENCE_S) == 130
    assert not list(world.agent.runtime.glob("logins*"))
