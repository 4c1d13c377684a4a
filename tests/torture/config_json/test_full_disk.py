"""A disk that gets full at each byte, or at each block, of a write."""

from pathlib import Path

import pytest

from tests.rig.needs import need
from tests.torture import campaign
from tests.torture.config_json.programs import MOUNTED, seen_by

_FILES = ["plain", "linked", "new", "mounted", "state"]
_DISKS = {
    "tmpfs": (4096, "mkdir disk && mount -t tmpfs -o size=200k tmpfs disk"),
    "ext4": (
        1024,
        "mkdir disk && truncate -s 2M image && mkfs.ext4 -q -b 1024 -O ^has_journal image && mount image disk",
    ),
}


def explore(directory: Path, how: str, step: int, what: str, disk: str = "mkdir disk") -> str:
    """Run the program, and return its figures. Fails if anything was wrong."""
    mounted = [MOUNTED] if what == "mounted" else []
    mounts = "\n".join([disk, "cd disk", "mkdir .docker", *mounted])
    seen = seen_by("fill", directory / "disk", how, step, what, prepare=mounts)
    assert not seen["faults"], "\n".join(seen["faults"][:20])
    assert seen["refused"], "there was always room: the campaign tries nothing"
    return f"{seen['rooms']} amounts of room, {seen['refused']} too small; each write was whole or none"


@pytest.mark.parametrize("what", _FILES)
def test_no_room_for_another_byte_leaves_the_old_file(tmp_path: Path, what: str) -> None:
    """If a write fails (EFBIG), the old file is unchanged, and no temporary file is left. With space, a write works."""
    explore(tmp_path, "bytes", 11, what)


@pytest.mark.parametrize("what", _FILES)
@pytest.mark.parametrize("disk", _DISKS)
def test_no_room_for_another_block_leaves_the_old_file(tmp_path: Path, disk: str, what: str) -> None:
    """The same on a real file system (ENOSPC), with no free block, with one, with two, and so on."""
    if disk == "ext4":
        need("mkfs.ext4")
    block, mounts = _DISKS[disk]
    explore(tmp_path, str(block), 1, what, mounts)


@pytest.mark.torture
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", _FILES)
def test_a_disk_that_fills_at_every_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """The same at every single offset."""
    figures = explore(tmp_path, "bytes", max(1, round(1 / campaign.factor())), what)
    campaign.say(capsys, f"a disk that fills at every byte ({what})", figures)
