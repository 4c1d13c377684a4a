"""Tests of Docker's config.json on real file systems: every write is complete or absent, and no entry is lost."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.edge import atomic_file, docker_config, file_version
from agent.edge.docker_config import DockerConfigFile
from agent.edge.renameat2 import exchange
from agent.model.docker_config import Document, Entry, encode_entry, find, place
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ConfigInvalid, ConfigUnwritable
from agent.model.sensitive import Sensitive
from tests.problems import raises_problem
from tests.rig.needs import need_root

ROOT = Path(__file__).parents[2]
OURS = Entry("me", Sensitive("s3cret"))
OTHERS = {"auths": {"their.example": {"auth": "eW91OnRoZWly"}}, "psFormat": "table", "unknown": [1.10, {"x": None}]}


def put(key: str, entry: Entry = OURS) -> Callable[[Document], Document]:
    return lambda now: place(now, key, entry, lambda *_: True)


def write(path: Path, document: Any = OTHERS) -> None:
    path.write_text(json.dumps(document))


def logins(path: Path) -> set[str]:
    return set(json.loads(path.read_text())["auths"])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def leftovers(directory: Path) -> list[str]:
    return [name for name in names(directory) if name.startswith(".config.json.")]


@pytest.fixture
def config(tmp_path: Path) -> DockerConfigFile:
    return DockerConfigFile(tmp_path)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that other users can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def run_in_mounts(script: str) -> str:
    """Run a shell script with a mount namespace of its own, and return its output."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0 or subprocess.run([unshare, "-m", "true"], check=False).returncode != 0:
        pytest.skip("needs root and unshare(1), to mount something")
    done = subprocess.run([unshare, "-m", "sh", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def update_once(*arguments: Any) -> str:
    return shlex.join([sys.executable, "-m", "tests.edge.update_once", *map(str, arguments)])


async def test_a_new_file_is_private(tmp_path: Path) -> None:
    """The file has mode 0600, in a new directory with mode 0700."""
    config = DockerConfigFile(tmp_path / "new" / ".docker")
    await config.update(put("ghcr.io"))
    assert stat.S_IMODE(config.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.path.parent.stat().st_mode) == 0o700
    assert config.path.read_text() == '{\n\t"auths": {\n\t\t"ghcr.io": {\n\t\t\t"auth": "bWU6czNjcmV0"\n\t\t}\n\t}\n}'


async def test_keeps_everything_that_is_not_ours(config: DockerConfigFile) -> None:
    """Keeps unknown keys, the digits of numbers, the order, the mode and the owner."""
    config.path.write_text('{"unknown": [1.10, 12345678901234567890123], "auths": {"their.example": {"email": "x"}}}')
    config.path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(config.path, 12345, 54321)
    before = config.path.stat()
    await config.update(put("ghcr.io"))
    after = config.path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    text = config.path.read_text()
    assert list(json.loads(text)) == ["unknown", "auths"]
    assert "1.10" in text
    assert "12345678901234567890123" in text
    assert logins(config.path) == {"their.example", "ghcr.io"}
    assert leftovers(config.path.parent) == []


async def test_no_login_is_written_next_to_a_file_whose_owner_cannot_be_kept(
    config: DockerConfigFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner may own the directory too, and could keep the new file before it is removed."""
    need_root("to give the file to another user")
    write(config.path)
    os.chown(config.path, 12345, 54321)
    sizes = []

    def refuse(descriptor: int, *_: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(ProblemError):
        await config.update(put("ghcr.io"))
    assert set(sizes) == {0}
    assert (logins(config.path), leftovers(config.path.parent)) == ({"their.example"}, [])


async def test_writes_nothing_when_nothing_changes(config: DockerConfigFile) -> None:
    await config.update(put("ghcr.io"))
    before = await config.signature()
    document = await config.update(put("ghcr.io"))
    assert await config.signature() == before
    assert find(document, "ghcr.io") == ("ghcr.io", OURS)


async def test_the_signature_changes_with_the_file_behind_a_link(tmp_path: Path) -> None:
    config = DockerConfigFile(tmp_path)
    real = tmp_path / "real.json"
    config.path.symlink_to(real)
    signatures = [await config.signature()]
    write(real)
    signatures.append(await config.signature())
    write(real, {"auths": {}})
    signatures.append(await config.signature())
    assert len(set(signatures)) == 3


async def test_parallel_updates_lose_nothing(config: DockerConfigFile) -> None:
    """With `docker login`, only two to five of twenty parallel logins were saved."""
    write(config.path)
    await asyncio.gather(*(config.update(put(f"r{number}.example")) for number in range(20)))
    assert logins(config.path) == {"their.example", *(f"r{number}.example" for number in range(20))}
    assert leftovers(config.path.parent) == []


@pytest.mark.parametrize("in_place", [False, True], ids=["rename", "in place"])
async def test_a_write_at_the_last_moment_is_not_lost(
    config: DockerConfigFile, monkeypatch: pytest.MonkeyPatch, *, in_place: bool
) -> None:
    """If the exchange returns a newer version than the one that was read, that version is merged. Here twice."""
    write(config.path)
    foreign = iter(["first.example", None, "second.example"])

    def exchange_after_somebody_wrote(one: Path, other: Path) -> None:
        name = next(foreign, None)
        if name is not None:
            document = json.loads(config.path.read_text())
            document["auths"][name] = {}
            new = config.path if in_place else config.path.with_name("docker-writes")
            write(new, document)
            new.rename(config.path)
        exchange(one, other)

    monkeypatch.setattr(atomic_file, "exchange", exchange_after_somebody_wrote)
    await config.update(put("ghcr.io"))
    assert logins(config.path) == {"their.example", "ghcr.io", "first.example", "second.example"}
    assert leftovers(config.path.parent) == []


async def test_a_program_that_keeps_writing_loses_nothing(config: DockerConfigFile) -> None:
    """It works like docker: read, add an entry, write a temporary file, rename, without a lock.

    An update may give up after a while, and the other program may overwrite it. What the other program wrote is never
    lost.
    """
    write(config.path)
    stop = threading.Event()
    written: list[str] = []

    def other_program() -> None:
        while not stop.is_set():
            document = json.loads(config.path.read_text())
            name = f"s{len(written)}.example"
            document["auths"] = {**document["auths"], name: {}}
            temporary = config.path.with_name("docker-writes")
            write(temporary, document)
            temporary.rename(config.path)
            written.append(name)
            stop.wait(0.01)

    thread = threading.Thread(target=other_program)
    thread.start()
    try:
        for number in range(10):
            with suppress(ProblemError):
                await config.update(put(f"r{number}.example"))
    finally:
        stop.set()
        thread.join()
    assert set(written) <= logins(config.path)
    assert written


async def test_waits_for_a_program_that_writes_in_place(config: DockerConfigFile) -> None:
    """A file that is empty or incomplete for a moment counts neither as empty nor as broken."""
    text = json.dumps(OTHERS)
    half = threading.Event()

    def other_program() -> None:
        with config.path.open("w") as file:
            file.write(text[:20])
            file.flush()
            half.set()
            time.sleep(0.06)
            file.write(text[20:])

    thread = threading.Thread(target=other_program)
    thread.start()
    half.wait()
    await config.update(put("ghcr.io"))
    thread.join()
    assert logins(config.path) == {"their.example", "ghcr.io"}


async def test_an_update_that_was_given_up_is_never_written(
    config: DockerConfigFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system hangs, and answers after the callers have given up. Nobody wants their changes any more."""
    write(config.path)
    hangs, answers = threading.Event(), threading.Event()

    def read_slowly(path: Path) -> file_version.FileVersion | None:
        version = file_version.read_version(path)
        hangs.set()
        answers.wait(10)
        return version

    monkeypatch.setattr(docker_config, "read_version", read_slowly)
    callers = [asyncio.create_task(config.update(put(name))) for name in ("one.example", "two.example")]
    await asyncio.to_thread(hangs.wait, 10)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    answers.set()
    await config.update(put("ghcr.io"))
    assert logins(config.path) == {"their.example", "ghcr.io"}


@pytest.mark.parametrize("soon", [True, False])
async def test_finish_waits_for_a_write_but_not_for_long(
    config: DockerConfigFile, monkeypatch: pytest.MonkeyPatch, *, soon: bool
) -> None:
    """The caller was cancelled. Either the write it started finishes soon, or the file system hangs."""
    write(config.path)
    started, proceed = threading.Event(), threading.Event()

    def slow(*args: Path) -> None:
        started.set()
        proceed.wait(10)
        exchange(*args)

    monkeypatch.setattr(atomic_file, "exchange", slow)
    if not soon:
        monkeypatch.setattr(docker_config, "_FINISH_S", 0.01)
    try:
        writing = asyncio.create_task(config.update(put("ghcr.io")))
        await asyncio.to_thread(started.wait, 10)
        writing.cancel()
        assert leftovers(config.path.parent)
        if soon:
            asyncio.get_running_loop().call_later(0.05, proceed.set)
        await config.finish()
        assert bool(leftovers(config.path.parent)) is not soon
    finally:
        proceed.set()
        await config.signature()


async def test_a_file_system_without_renameat2_works(config: DockerConfigFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS and FUSE return EINVAL. The agent then compares once more and renames."""

    def unsupported(_one: Path, _other: Path) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(atomic_file, "exchange", unsupported)
    monkeypatch.setattr(atomic_file, "rename_new", unsupported)
    await config.update(put("ghcr.io"))
    await config.update(put("quay.io"))
    assert logins(config.path) == {"ghcr.io", "quay.io"}
    assert leftovers(config.path.parent) == []


async def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """This includes a chain of links across directories, and a link to a file that does not exist yet."""
    store = tmp_path / "dotfiles"
    store.mkdir()
    (tmp_path / "hop").symlink_to("dotfiles/config.json")
    config = DockerConfigFile(tmp_path / ".docker")
    config.path.parent.mkdir()
    config.path.symlink_to("../hop")
    for key in ("ghcr.io", "quay.io"):
        await config.update(put(key))
        assert config.path.is_symlink()
        assert (tmp_path / "hop").is_symlink()
        assert (store / "config.json").is_file()
    assert logins(store / "config.json") == {"ghcr.io", "quay.io"}
    assert stat.S_IMODE((store / "config.json").stat().st_mode) == 0o600


async def test_a_removed_directory_is_created_again_below_a_link(tmp_path: Path) -> None:
    """On many systems, the path of the home directory contains a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to("disk")
    config = DockerConfigFile(tmp_path / "home" / ".docker")
    await config.update(put("ghcr.io"))
    shutil.rmtree(tmp_path / "disk" / ".docker")
    await config.update(put("quay.io"))
    assert logins(tmp_path / "disk" / ".docker" / "config.json") == {"quay.io"}


@pytest.mark.parametrize("link", ["", ".docker"])
async def test_what_a_link_leads_to_is_not_created(tmp_path: Path, link: str) -> None:
    """It may be on a disk that is not mounted yet."""
    home = tmp_path / "home"
    (home / link).parent.mkdir(exist_ok=True)
    (home / link).symlink_to(tmp_path / "disk" / "missing")
    with raises_problem(ConfigUnwritable, match="directory that its link points to does not exist"):
        await DockerConfigFile(home / ".docker").update(put("ghcr.io"))
    assert not (tmp_path / "disk").exists()


async def test_a_link_into_a_missing_directory_is_named(config: DockerConfigFile) -> None:
    config.path.symlink_to("missing/config.json")
    with raises_problem(ConfigUnwritable, match="directory that its link points to does not exist") as caught:
        await config.update(put("ghcr.io"))
    missing = config.path.parent / "missing"
    assert caught.value.hint == f"remove the link: `rm {config.path}`, or create {missing}"
    assert config.path.is_symlink()


@pytest.mark.parametrize(
    "text", ['{"auths": {', "nonsense", '{"auths": {"a": {"auth": "%"}}}', '{"features": {"buildkit": true}}', "{]} {}"]
)
async def test_does_not_touch_a_broken_file(config: DockerConfigFile, text: str) -> None:
    config.path.write_text(text)
    before = await config.signature()
    with raises_problem(ConfigInvalid, match=str(config.path)):
        await config.update(put("ghcr.io"))
    assert config.path.read_text() == text
    assert await config.signature() == before


async def test_the_installed_docker_decides_whether_the_file_is_broken(tmp_path: Path) -> None:
    """The verdict changes with the CLI, although the file stays the same, and a watcher notices it."""
    versions: list[tuple[int, ...] | None] = [(20, 10, 24)]
    config = DockerConfigFile(tmp_path, cli_version=lambda: versions[-1])
    config.path.write_text('{"features": {"buildkit": true}}')
    await config.update(put("ghcr.io"))
    before = await config.signature()
    versions.append((28, 2, 2))
    assert await config.signature() != before
    with raises_problem(ConfigInvalid, match=r"features\.buildkit is a boolean, but docker expects a string"):
        await config.read()
    versions.append(None)
    with raises_problem(ConfigInvalid):
        await config.read()


async def test_data_behind_the_document_does_not_disturb(config: DockerConfigFile) -> None:
    """Docker ignores it, and drops it with its next write. So does the agent."""
    config.path.write_text(json.dumps(OTHERS) + " // note\n}")
    before = config.path.read_bytes()
    await config.read()
    assert config.path.read_bytes() == before
    await config.update(put("ghcr.io"))
    assert logins(config.path) == {"their.example", "ghcr.io"}


@pytest.mark.parametrize("kind", ["directory", "pipe", "large"])
async def test_rejects_anything_but_a_regular_file_at_once(config: DockerConfigFile, kind: str) -> None:
    """Reading a pipe would block forever."""
    if kind == "directory":
        config.path.mkdir()
    elif kind == "pipe":
        os.mkfifo(config.path)
    else:
        with config.path.open("wb") as file:
            file.truncate(file_version.SIZE_LIMIT + 1)
    with raises_problem(ConfigInvalid, match=r"regular file|16 MiB"):
        await config.update(put("ghcr.io"))


async def test_fills_an_empty_file(config: DockerConfigFile) -> None:
    config.path.touch(0o644)
    await config.update(put("ghcr.io"))
    assert logins(config.path) == {"ghcr.io"}


async def test_removes_leftovers_of_a_killed_agent(config: DockerConfigFile) -> None:
    """Its temporary files contain logins."""
    (config.path.parent / ".config.json.registry-agent-0123").write_text("{}")
    (config.path.parent / ".config.json.other").write_text("{}")
    await config.remove_leftovers()
    assert leftovers(config.path.parent) == [".config.json.other"]


def test_kill_9_at_any_moment_leaves_a_complete_file(tmp_path: Path) -> None:
    """The file stays valid JSON with all foreign entries, however often the writer is killed."""
    path = tmp_path / "config.json"
    write(path)
    for round_ in range(3):
        before = path.stat().st_ino
        command = shlex.split(update_once(tmp_path, "ghcr.io", f"p{round_}", 100_000))
        with subprocess.Popen(command, cwd=ROOT) as writer:
            while path.stat().st_ino == before:
                assert logins(path) >= {"their.example"}
            for _ in range(round_ * 15):
                assert logins(path) == {"their.example", "ghcr.io"}
            writer.send_signal(signal.SIGKILL)
        document = json.loads(path.read_text())
        assert document["unknown"] == OTHERS["unknown"]
        assert logins(path) == {"their.example", "ghcr.io"}
    asyncio.run(DockerConfigFile(tmp_path).remove_leftovers())
    assert names(tmp_path) == ["config.json"]


def test_a_bind_mounted_file_is_written_in_place(tmp_path: Path) -> None:
    """A rename over it fails with "device or resource busy". Both a longer and a shorter text are written correctly."""
    outside, directory = tmp_path / "out side.json", tmp_path / ".docker"
    write(outside)
    directory.mkdir()
    (directory / "config.json").touch()
    inode = outside.stat().st_ino
    output = run_in_mounts(
        f"mount --bind {shlex.quote(str(outside))} {directory}/config.json\n"
        f"{update_once(directory, 'ghcr.io', 'a-long-password' * 50)}\n{update_once(directory, 'ghcr.io', 'short')}"
    )
    assert output == "written\nwritten"
    assert logins(outside) == {"their.example", "ghcr.io"}
    assert json.loads(outside.read_text())["auths"]["ghcr.io"] == encode_entry(Entry("me", Sensitive("short")))
    assert outside.stat().st_ino == inode


@pytest.mark.parametrize("bound", [False, True], ids=["renamed", "bind-mounted"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, *, bound: bool) -> None:
    """This holds for a file that is written in place too. No temporary file stays behind."""
    source = tmp_path / "source.json"
    write(source)
    target = tmp_path / "target"
    target.mkdir()
    (target / "config.json").touch()
    directory = target if bound else tmp_path / "disk"
    (tmp_path / "disk").mkdir()
    output = run_in_mounts(
        f"cd {tmp_path} && mount -t tmpfs -o size=64k tmpfs disk && cp source.json disk/config.json\n"
        + ("mount --bind disk/config.json target/config.json\n" if bound else "")
        + "dd if=/dev/zero of=disk/filler bs=4k status=none 2>/dev/null || true\n"
        f"cd {ROOT} && {update_once(directory, 'ghcr.io', 'p' * 9000)}\n"
        f"cmp {source} {directory}/config.json && ls -A {tmp_path}/disk"
    )
    assert (
        output == f"config_unwritable: {directory}/config.json cannot be written: the disk is full\nconfig.json\nfiller"
    )


def test_reports_a_read_only_file_system(tmp_path: Path) -> None:
    write(tmp_path / "config.json")
    output = run_in_mounts(
        f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}\n"
        + update_once(tmp_path, "ghcr.io", "p")
    )
    assert output == f"config_unwritable: {tmp_path}/config.json cannot be written: the file system is read-only"


@pytest.mark.parametrize(
    ("directory_owner", "expected"), [(0, "permission denied (for user 65534)"), (65534, "owner could not be kept")]
)
def test_reports_missing_permissions(open_place: Path, directory_owner: int, expected: str) -> None:
    """Either the directory is not writable, or the file belongs to another user and its owner could not be kept."""
    write(open_place / "config.json")
    (open_place / "config.json").chmod(0o644)
    if os.geteuid() == 0:
        os.chown(open_place, directory_owner, directory_owner)
    output = run_in_mounts(
        f"setpriv --reuid 65534 --regid 65534 --clear-groups {update_once(open_place, 'ghcr.io', 'p')}"
    )
    assert output.startswith("config_unwritable: ")
    assert expected in output
    assert json.loads((open_place / "config.json").read_text()) == OTHERS
    assert names(open_place) == ["config.json"]


def _access_list(*entries: tuple[int, int, int]) -> bytes:
    """Encode an access list as Linux stores it: tag, permissions and ID of each entry (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


_SOMEBODY = 12345
_NO_ID = 0xFFFFFFFF
_ADMITS_SOMEBODY = _access_list((1, 7, _NO_ID), (2, 6, _SOMEBODY), (4, 0, _NO_ID), (16, 7, _NO_ID), (32, 0, _NO_ID))


@pytest.fixture
def _shared_directory(tmp_path: Path) -> None:
    """A directory whose default access list admits another user to each new file in it."""
    try:
        os.setxattr(tmp_path, "system.posix_acl_default", _ADMITS_SOMEBODY)
    except OSError:
        pytest.skip("needs a file system with access lists")


@pytest.fixture
def append_only(tmp_path: Path) -> Iterator[Path]:
    """A directory in which files can be created, but neither renamed nor removed."""
    directory = tmp_path / "append-only"
    directory.mkdir()
    write(directory / "config.json")
    if subprocess.run(["chattr", "+a", directory], check=False, capture_output=True).returncode:
        pytest.skip("needs root and a file system with chattr")
    yield directory
    subprocess.run(["chattr", "-a", directory], check=True)


@pytest.mark.usefixtures("_shared_directory")
async def test_a_write_gives_nobody_else_access(config: DockerConfigFile) -> None:
    """The default access list of the directory is for new files. This one had none, and has none afterwards."""
    write(config.path)
    os.removexattr(config.path, "system.posix_acl_access")
    config.path.chmod(0o640)
    await config.update(put("ghcr.io"))
    assert "system.posix_acl_access" not in os.listxattr(config.path)
    assert stat.S_IMODE(config.path.stat().st_mode) == 0o640
    assert logins(config.path) == {"their.example", "ghcr.io"}


@pytest.mark.usefixtures("_shared_directory")
async def test_a_new_file_is_private_in_any_directory(config: DockerConfigFile) -> None:
    await config.update(put("ghcr.io"))
    assert "system.posix_acl_access" not in os.listxattr(config.path)
    assert stat.S_IMODE(config.path.stat().st_mode) == 0o600


@pytest.mark.usefixtures("_shared_directory")
async def test_a_write_keeps_the_access_list_of_the_file(config: DockerConfigFile) -> None:
    """A person may have admitted somebody to this very file."""
    write(config.path)
    before = os.getxattr(config.path, "system.posix_acl_access")
    await config.update(put("ghcr.io"))
    assert os.getxattr(config.path, "system.posix_acl_access") == before


async def test_a_directory_that_lets_no_file_go_collects_no_logins(append_only: Path) -> None:
    """The agent tries again and again. Not one of these attempts leaves a login, and they do not fill the directory."""
    config = DockerConfigFile(append_only)
    before = config.path.read_bytes()
    for _ in range(3):
        with raises_problem(ConfigUnwritable, match="not permitted|permission denied"):
            await config.update(put("ghcr.io"))
    left = leftovers(append_only)
    assert [(append_only / name).read_bytes() for name in left] == [b""]
    assert config.path.read_bytes() == before
