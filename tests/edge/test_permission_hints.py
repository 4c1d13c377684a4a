"""What the agent reports about a config.json that it cannot read or write, and that the advice works."""

import asyncio
import errno
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.edge.docker_config import DockerConfigFile
from agent.edge.permission_hints import Account, permission_hint
from agent.model.problems.stored_login import ConfigInvalid, ConfigUnwritable
from tests.edge.test_docker_config import logins, open_place, put, run_in_mounts, update_once, write
from tests.problems import raises_problem

__all__ = ["open_place"]
_ADA = 65534
AS_ADA = f"setpriv --reuid {_ADA} --regid {_ADA} --clear-groups "
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")


@only_root
def test_a_group_that_cannot_be_kept_becomes_the_users_own(open_place: Path) -> None:
    """`docker login` works on such a file too. The new group gets no access from the bits of the old one."""
    path = open_place / "config.json"
    write(path)
    path.chmod(0o660)
    os.chown(open_place, _ADA, _ADA)
    os.chown(path, _ADA, 0)
    output = run_in_mounts(AS_ADA + update_once(open_place, "ghcr.io", "p"))
    found = path.stat()
    assert (output, found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == ("written", _ADA, _ADA, 0o600)
    assert logins(path) == {"their.example", "ghcr.io"}


@only_root
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["closed", "open"])
def test_one_command_gives_back_what_sudo_docker_login_made(open_place: Path, mode: int) -> None:
    """It covers the directory and the file, also where the directory hides the file from the user."""
    directory = open_place / ".docker"
    directory.mkdir(mode=mode)
    write(directory / "config.json")
    (directory / "config.json").chmod(0o600)
    ask = (
        "import errno; from pathlib import Path; from agent.edge.permission_hints import Account, permission_hint\n"
        f"ada = Account({_ADA}, 'nobody', Path({str(open_place)!r}))\n"
        f"print(permission_hint(Path({str(directory)!r}, 'config.json'), errno.EACCES, None, ada))"
    )
    hint = run_in_mounts(f"{AS_ADA}{shlex.join([sys.executable, '-c', ask])}")
    (fix,) = re.findall("`sudo (.*?)`", hint)
    subprocess.run(["sh", "-c", fix], check=True, timeout=20)
    assert run_in_mounts(AS_ADA + update_once(directory, "ghcr.io", "p")) == "written"


@pytest.mark.parametrize("kind", ["empty directory", "link to a device", "link to itself", "link of the directory"])
async def test_the_hint_about_what_is_there_instead_of_a_file_works(tmp_path: Path, kind: str) -> None:
    """Docker makes the directory for a mount whose source is missing. Nothing of value is removed in any case."""
    config = DockerConfigFile(tmp_path / ".docker")
    if kind == "link of the directory":
        config.path.parent.symlink_to("gone")
    else:
        config.path.parent.mkdir()
    if kind == "empty directory":
        config.path.mkdir()
    elif kind.startswith("link to"):
        config.path.symlink_to("/dev/null" if kind == "link to a device" else config.path.name)
    with raises_problem(ConfigInvalid, ConfigUnwritable) as caught:
        await config.update(put("ghcr.io"))
    (fix,) = re.findall("`(.*?)`", caught.value.hint)
    shell = await asyncio.create_subprocess_exec("sh", "-c", fix)
    assert await shell.wait() == 0
    await config.update(put("ghcr.io"))
    assert logins(config.path) == {"ghcr.io"}


@only_root
@pytest.mark.parametrize("kind", ["empty directory", "link", "directory elsewhere"])
def test_what_root_made_is_not_removed_without_root(open_place: Path, kind: str) -> None:
    """`docker run -v ~/.docker/config.json:…` makes both. As root, `rmdir` does no harm, and `rm` could."""
    directory = open_place / ("elsewhere" if "elsewhere" in kind else ".docker")
    directory.mkdir(mode=0o755)
    path = directory / "config.json"
    path.symlink_to("/dev/null") if kind == "link" else path.mkdir()
    ask = (
        "from pathlib import Path; from agent.edge.permission_hints import Account, replacement_hint\n"
        f"ada = Account({_ADA}, 'nobody', Path({str(open_place)!r}))\n"
        f"print(replacement_hint(Path({str(path)!r}), ada))"
    )
    hint = run_in_mounts(f"{AS_ADA}{shlex.join([sys.executable, '-c', ask])}")
    if kind == "empty directory":
        assert f"`sudo rmdir {path}`" in hint
    else:
        assert f"{path} (only root and the owner of {directory} can do this)" in hint
        assert "`" not in hint


@pytest.mark.parametrize("kind", ["full directory", "pipe"])
async def test_what_may_be_of_value_is_moved_not_removed(tmp_path: Path, kind: str) -> None:
    config = DockerConfigFile(tmp_path)
    if kind == "pipe":
        os.mkfifo(config.path)
    else:
        (config.path / "kept").mkdir(parents=True)
    with raises_problem(ConfigInvalid, match="not a regular file") as caught:
        await config.update(put("ghcr.io"))
    assert re.fullmatch(rf"move (the directory )?{config.path} away: .*", caught.value.hint)


async def test_a_file_instead_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / ".docker").write_text("x")
    with raises_problem(ConfigUnwritable) as caught:
        await DockerConfigFile(tmp_path / ".docker").update(put("ghcr.io"))
    assert caught.value.hint.startswith(f"move the file {tmp_path}/.docker away")


def test_an_immutable_file_is_named_with_its_fix(tmp_path: Path) -> None:
    """The file belongs to the user and is writable by its mode, so only its flag explains the error."""
    path = tmp_path / ".docker/config.json"
    path.parent.mkdir()
    path.write_text(json.dumps({}))
    if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:
        pytest.skip("needs root and a file system with chattr")
    try:
        hint = permission_hint(path, errno.EPERM, None, Account(os.geteuid(), "ada", tmp_path)) or ""
        assert f"`sudo chattr -i {path}`" in hint
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_a_disk_without_inodes_is_not_called_full(tmp_path: Path) -> None:
    """It may have space left. `df -i` shows the cause, `df -h` does not."""
    output = run_in_mounts(
        f"mount -t tmpfs -o nr_inodes=2 tmpfs {tmp_path} && touch {tmp_path}/filler\n"
        + update_once(tmp_path, "ghcr.io", "p")
    )
    assert output == f"config_unwritable: {tmp_path}/config.json cannot be written: the disk has no free inodes"
