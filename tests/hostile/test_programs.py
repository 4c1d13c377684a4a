"""Programs that other users put where the agent looks for its own."""

import json
import os
import shlex
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from agent.edge.programs import find_program
from tests.codes.programs import script
from tests.codes.world import LOGIN, World
from tests.hostile.conftest import STRANGER
from tests.hostile.screens import ATTACK
from tests.hostile.test_servers import some
from tests.rig.waiting import until

pytestmark = pytest.mark.usefixtures("screens")

NAMES: Final = ("docker", "aws", "docker-credential-theirs", "identity")


def _traps(directory: Path, marker: Path) -> Path:
    directory.mkdir(exist_ok=True)
    for name in NAMES:
        script(directory / name, f"echo $0 >>{marker}", "cat >/dev/null", "exit 0")
    return directory


def test_directories_that_others_can_write_to(world: World, stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are first on PATH: foreign, writable for all or for a group, empty or relative. No program there runs."""
    marker = world.home / "trapped"
    theirs = _traps(stranger / "bin", marker)
    for path in (theirs, *theirs.iterdir()):
        os.chown(path, STRANGER, STRANGER)
    for_all, group = _traps(world.home / "for-all", marker), _traps(world.home / "group", marker)
    for_all.chmod(0o1777)
    group.chmod(0o775)
    os.chown(group, 0, 1)  # `daemon`, a group with a member
    inside = _traps(world.home / "relative", marker)
    by_link = world.home / "link"
    by_link.symlink_to(theirs)
    linked = world.home / "linked"
    linked.mkdir()
    for name in NAMES:
        (linked / name).symlink_to(theirs / name)
    monkeypatch.chdir(inside)
    paths = [theirs, for_all, group, "", ".", "../relative", by_link, linked]
    world.env["PATH"] = ":".join(map(str, [*paths, os.environ["PATH"]]))
    door = world.ecr(world.aws())
    (world.agent.docker / "config.json").write_text('{"credHelpers": {"registry.example": "theirs"}}')
    world.agent.give("helped", "registry.example", **LOGIN)
    world.start({"aws": {"identity_token_command": ["identity"]}})
    world.agent.wait_logged_in(world.good.hostname, door.hostname)
    world.agent.wait_for("an outcome of each", lambda s: s["phase"] == "running")
    assert not marker.exists(), marker.read_text()


def test_a_directory_in_one_that_others_can_write_to(tmp_path: Path) -> None:
    """Others could replace it after the check, so it is not used. With the sticky bit they cannot, and it is used."""
    directory = tmp_path / "shared" / "bin"
    directory.mkdir(parents=True)
    script(directory / "docker", "true")
    for mode, found in ((0o777, None), (0o1777, directory / "docker"), (0o755, directory / "docker")):
        directory.parent.chmod(mode)
        assert find_program("docker", str(directory)) == found, f"{mode:o}"
    (tmp_path / "by-link").symlink_to(directory)
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "docker").symlink_to(directory / "docker")
    directory.parent.chmod(0o777)
    assert find_program("docker", f"{tmp_path / 'by-link'}:{tmp_path / 'programs'}") is None


def test_programs_that_talk_to_the_screen(world: World) -> None:
    """The output of docker, aws and a helper is shown without characters that move a cursor or forge a line."""
    programs = world.home / "bin"
    programs.mkdir()
    raw = programs / "raw"
    raw.write_bytes(ATTACK.encode() + b'\xff\xc2\n{"event": "forged"}\r' + ATTACK.encode())
    door, helped = world.registry("cursed"), world.registry("helped")
    real = shutil.which("docker")
    curse = f'case "$*" in *{door.hostname}*) PATH=/bin:/usr/bin; cat {raw} {raw} >&2; exit 1;; esac'
    script(programs / "docker", curse, f'exec {real} "$@"')
    script(programs / "aws", f"PATH=/bin:/usr/bin; printf 'aws-cli/2.31.0'; cat {raw}")
    script(programs / "docker-credential-theirs", f"PATH=/bin:/usr/bin; cat {raw} >&2; cat {raw}; exit 1")
    helpers = f'{{"credHelpers": {{"{helped.hostname}": "theirs"}}}}'
    (world.agent.docker / "config.json").write_text(helpers)
    world.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    world.ecr(world.aws())
    world.start()
    world.raised("docker_cli_failed", door.hostname)
    world.raised("credential_store_failed", helped.hostname)


def test_a_helper_that_is_no_name(world: World) -> None:
    """Docker's configuration may name anything, but nothing outside PATH runs."""
    marker = world.home / "trapped"
    _traps(world.home / "docker-credential-x", marker)
    doors = [world.registry(f"helped-{number}") for number in range(3)]
    names = ["x/docker", f"../../..{world.home}/docker-credential-x/docker", f"{ATTACK};touch {marker}"]
    helpers = {door.hostname: name for door, name in zip(doors, names, strict=True)}
    (world.agent.docker / "config.json").write_text(json.dumps({"credHelpers": helpers}))
    world.start()
    for door in doors:
        world.raised("credential_store_failed", door.hostname)
    assert not marker.exists()


def test_a_program_that_never_ends_its_output(world: World) -> None:
    """Docker prints without end, or leaves a grandchild with its pipes. The agent stops waiting, and reports it."""
    programs = world.home / "bin"
    programs.mkdir()
    flood, holder = world.registry("flood"), world.registry("holder")
    real = shutil.which("docker")
    script(
        programs / "docker",
        f'case "$*" in *{flood.hostname}*) PATH=/bin:/usr/bin; yes {"x" * 500} >&2;;',
        f"*{holder.hostname}*) PATH=/bin:/usr/bin; setsid sleep 20 & echo gibberish >&2; exit 1;; esac",
        f'exec {real} "$@"',
    )
    world.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    world.start({"docker": {"login_timeout_s": 2}})
    world.raised("docker_cli_failed", flood.hostname)
    world.raised("docker_cli_failed", holder.hostname, says="gibberish")
    assert threading.active_count() < 100


COMMANDS: Final = {
    "endless": ["sh", "-c", "sleep 60"],
    "flood": ["yes", "x" * 1000],
    "grandchild": ["sh", "-c", "setsid sleep 30 & echo; exit 0"],
    "two-lines": ["printf", r"token-of-one\ntoken-of-two"],
    "escapes": ["printf", "%s", ATTACK.replace("\0", "")],
    "raw-stderr": ["sh", "-c", 'printf "%s" "$0" >&2; exit 1', ATTACK.replace("\0", "")],
    "header": ["printf", r"token\r\nX-Injected: 1"],
    "binary": ["head", "-c", "100000", "/dev/urandom"],
}


@pytest.mark.parametrize("names", some(COMMANDS, "endless", "flood", "grandchild", "escapes", "raw-stderr"))
def test_a_hostile_identity_command(world: World, names: Sequence[str]) -> None:
    """It affects only the registries that need it, and only for as long as a call may take."""
    door = world.ecr(world.aws(), role_arn="arn:aws:iam::210987654321:role/pull")
    command, runs = world.home / "identity", world.home / "runs"
    for number, name in enumerate(names):
        runs.write_text("")
        script(command, f"echo >>{runs}", f"exec {shlex.join(COMMANDS[name])}")
        if number == 0:
            world.start({"aws": {"identity_token_command": [str(command)], "call_timeout_s": 1}})
        until(f"two runs of {name}", lambda: len(runs.read_text()) > 1)
        world.raised("aws_identity_unavailable", door.hostname)
