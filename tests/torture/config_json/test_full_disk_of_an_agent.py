"""A real agent, and a disk with Docker's directory that gets full: however much space is left, nothing is lost.

A disk allocates whole blocks, so these tests try each number of free blocks. `test_full_disk` also tries each byte.
"""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agent.demo.registries import BasicAuth
from tests.codes.here import Here
from tests.codes.world import Door, World
from tests.rig.needs import need
from tests.rig.waiting import until
from tests.torture import campaign
from tests.torture.config_json.documents import FOREIGN, MODE, faults_of, others, parse, temporary_files
from tests.torture.config_json.fill import blocks_left

BLOCK: Final = 4096
SHORT_BLOCKS: Final = 8
_SPARE: Final = 8
_USERS: Final = {"odd": "password-of-odd", "even": "password-of-even"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    need("docker", "unshare", "mount")
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a disk")
    here = Here()
    try:
        world = World(here, tmp_path / "home")
        try:
            yield world
        finally:
            here.before = ()
            world.close()
    finally:
        here.close()


class Disk:
    """A file system only for config.json, with space for two copies and little more."""

    def __init__(self, world: World, size: int) -> None:
        """`size` is the approximate size of config.json in bytes."""
        self._world: Final = world
        text = FOREIGN.replace("table", "table" + " " * max(0, size - len(FOREIGN.encode())))
        seed = world.home / "seed.json"
        seed.write_text(text)
        seed.chmod(MODE)
        self.foreign: Final = parse(text.encode())
        blocks = 2 * (len(text.encode()) // BLOCK + 1) + _SPARE
        path = world.agent.docker
        mount = f"mount -t tmpfs -o size={blocks * BLOCK},mode=700 tmpfs {path}"
        script = f'{mount} && cp -p {seed} {path}/config.json && exec "$@"'
        world.here.before = (str(shutil.which("unshare")), "--mount", "sh", "-c", script, "sh")

    @property
    def _directory(self) -> Path:
        return Path(f"/proc/{self._world.pid}/root{self._world.agent.docker}")

    @property
    def config(self) -> Path:
        return self._directory / "config.json"

    @property
    def filler(self) -> Path:
        return self._directory / "filler"

    def entry(self, hostname: str) -> Any:
        return json.loads(self.config.read_bytes())["auths"].get(hostname)

    def is_as_it_was(self, ours: list[str]) -> None:
        """Check that the file has all that is not ours, its mode and its owner, and no temporary file next to it."""
        assert faults_of(self.config, others(self.foreign, ours), ours, permissions=False) == []
        held = self.config.stat()
        assert (stat.S_IMODE(held.st_mode), held.st_uid, held.st_gid) == (MODE, os.getuid(), os.getgid())
        until("no temporary file", lambda: not temporary_files(self._directory))


def _round(world: World, disk: Disk, door: Door, room: int) -> bool:
    """Give the agent a new login while `room` blocks are free. Return whether that was too little."""
    user = "odd" if room % 2 else "even"
    ours = [world.good.hostname, door.hostname]
    until("no temporary file", lambda: not temporary_files(disk.config.parent))
    before, old = disk.config.read_bytes(), disk.entry(door.hostname)

    def unwritable(status: dict[str, Any]) -> bool:
        return any(w["code"] == "config_unwritable" and w["subject"] == door.hostname for w in status["warnings"])

    with blocks_left(disk.filler, BLOCK, room):
        world.agent.give("kept", door.hostname, username=user, password=_USERS[user])
        told = world.agent.wait_for("an outcome", lambda s: unwritable(s) or disk.entry(door.hostname) != old)
        refused = unwritable(told)
        if refused:
            message = next(w["message"] for w in told["warnings"] if w["code"] == "config_unwritable")
            assert "full" in message, message
            assert disk.config.read_bytes() == before
        disk.is_as_it_was(ours)
    until("the login", lambda: disk.entry(door.hostname) != old)
    world.agent.wait_for("the end of the warning", lambda s: not unwritable(s))
    world.agent.wait_logged_in(*ours)
    disk.is_as_it_was(ours)
    return refused


def _walk(world: World, size: int) -> str:
    """Try each number of free blocks, from none to enough, and return the figures."""
    disk = Disk(world, size)
    door = world.registry("kept", BasicAuth(_USERS), {"username": "odd", "password": _USERS["odd"]})
    world.start()
    world.agent.wait_logged_in(world.good.hostname, door.hostname)
    rooms = 0
    while _round(world, disk, door, rooms):
        rooms += 1
    assert rooms >= size // BLOCK
    assert not _round(world, disk, door, rooms + 1)
    world.nothing_stopped()
    return f"{rooms + 2} rooms beside {size} bytes, {rooms} of them too little"


@pytest.mark.timeout(300)
def test_every_free_size_with_a_small_file(world: World) -> None:
    """With too little space, the agent reports a full disk and changes nothing. With space again, it stores the login.

    The test tries about ten amounts of space.
    """
    _walk(world, SHORT_BLOCKS * BLOCK - BLOCK // 2)


@pytest.mark.torture
@pytest.mark.timeout(0)
def test_every_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same with files of many sizes, up to a quarter of a megabyte."""
    chance, here = campaign.chance("the full disk of an agent"), Here()
    try:
        for number in range(campaign.times(20)):
            world = World(here, tmp_path / f"home{number}")
            try:
                said = _walk(world, chance.randrange(BLOCK, 64 * BLOCK))
                campaign.say(capsys, "an agent's full disk", said)
            finally:
                here.before = ()
                world.close()
    finally:
        here.close()
