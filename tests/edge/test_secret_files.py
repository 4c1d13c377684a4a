"""Tests of secret directories, on a real file system."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from agent.edge.secret_files import LARGEST, read, signature
from agent.model.problems.environment import SecretsUnavailable
from tests.problems import raises_problem

PASSWORD = "hunter2-hunter2"


def document(name: str, hostname: str = "ghcr.io") -> str:
    return json.dumps({"name": name, "hostname": hostname, "username": "bot", "password": PASSWORD})


def names(directory: Path) -> list[str]:
    return [secret.name for result in read(directory).values() for secret in result.secrets]


def faults(directory: Path) -> dict[str, str]:
    """Return the messages by subject, without the path of the directory."""
    problems = [problem for result in read(directory).values() for problem in result.problems]
    return {p.subject.removeprefix(f"{directory}/"): p.message.removeprefix(f"{directory}/") for p in problems}


def test_reads_every_kind_of_file(tmp_path: Path) -> None:
    """It reads files that end in .json, Kubernetes' .dockerconfigjson and subdirectories, and nothing else."""
    (tmp_path / "one.json").write_text(document("one"))
    (tmp_path / ".dockerconfigjson").write_text('{"auths": {"quay.io": {"username": "u", "password": "p"}}}')
    (tmp_path / "team").mkdir()
    for field, content in {"hostname": "docker.io\n", "username": "bot\n", "password": "p\n", "notes": "x"}.items():
        (tmp_path / "team" / field).write_text(content)
    for ignored in (".hidden.json", "notes.txt", "one.json~", "..data"):
        (tmp_path / ignored).write_text("nonsense")
    (tmp_path / "lost+found").mkdir()
    assert sorted(names(tmp_path)) == ["dockerconfigjson-quay.io", "one", "team-docker.io"]
    assert faults(tmp_path) == {}


def test_a_missing_directory_is_empty(tmp_path: Path) -> None:
    """Creating it later changes the signature."""
    directory = tmp_path / "later"
    assert read(directory) == {}
    before = signature(directory)
    directory.mkdir()
    (directory / "one.json").write_text(document("one"))
    assert signature(directory) != before


def test_follows_a_kubernetes_mount_when_it_swaps(tmp_path: Path) -> None:
    """The files are links through `..data`, which Kubernetes replaces as a whole. Each secret is read once."""
    for version in ("first", "later"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "ghcr.json").write_text(document(version))
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "ghcr.json").symlink_to("..data/ghcr.json")
    before = signature(tmp_path)
    assert names(tmp_path) == ["first"]
    (tmp_path / "..data_tmp").symlink_to("..later")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert signature(tmp_path) != before
    assert names(tmp_path) == ["later"]


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (os.mkfifo, "bad.json is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "bad.json is not a regular file"),
        (lambda path: path.symlink_to(path), "bad.json is a loop of symbolic links"),
        (lambda path: path.symlink_to("gone"), "bad.json is a broken symbolic link"),
        (lambda path: path.write_bytes(b" " * (LARGEST + 1)), "bad.json is larger than 1 MiB"),
        (lambda path: path.write_bytes(b'"\xff"'), "bad.json is not UTF-8 (byte 1)"),
        (lambda path: path.write_text(document("bad")[:-3]), "bad.json is not JSON (line 1, column 71)"),
        (lambda path: path.write_text(""), "bad.json is empty"),
    ],
)
def test_a_bad_file_does_not_affect_the_others(tmp_path: Path, make: Callable[[Path], object], fault: str) -> None:
    """The problem names the file and the cause at once. Reading never waits for the writer of a FIFO."""
    (tmp_path / "good.json").write_text(document("good"))
    make(tmp_path / "bad.json")
    assert names(tmp_path) == ["good"]
    assert faults(tmp_path) == {"bad.json": fault}
    assert read(tmp_path)[str(tmp_path / "bad.json")].failed


def test_does_not_open_a_socket(tmp_path: Path) -> None:
    """A socket is not a regular file either."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "bad.json"))
        assert faults(tmp_path) == {"bad.json": "bad.json is not a regular file"}


def test_names_the_bad_field_of_a_subdirectory(tmp_path: Path) -> None:
    """A FIFO among the files does not block the reader."""
    (tmp_path / "team.example").mkdir()
    (tmp_path / "team.example" / "hostname").write_text("ghcr.io")
    os.mkfifo(tmp_path / "team.example" / "password")
    assert faults(tmp_path) == {"team.example": "team.example has a password that is not a regular file"}


def test_a_loop_of_directories_ends(tmp_path: Path) -> None:
    """A link to its own directory is not a secret."""
    (tmp_path / "self").symlink_to(tmp_path)
    (tmp_path / "one.json").write_text(document("one"))
    assert names(tmp_path) == ["one"]
    assert signature(tmp_path) == signature(tmp_path)


def test_a_file_name_that_is_not_utf_8_does_no_harm(tmp_path: Path) -> None:
    """The names of its secrets can still be shown."""
    path = os.fsencode(tmp_path) + b"/\xff\n.json"
    with open(path, "w") as file:  # noqa: PTH123 - a path of bytes
        file.write('{"auths": {"quay.io": {"username": "u", "password": "p"}, "x y": {}}}')
    (result,) = read(tmp_path).values()
    assert [secret.name.encode() for secret in result.secrets] == [b"-quay.io"]
    assert all(problem.subject.encode() and problem.message.encode() for problem in result.problems)


def write_in_place(path: Path) -> None:
    before = path.stat()
    path.write_text(document("two"))
    # The file system's clock ticks every few milliseconds.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    temporary = path.with_name("temporary")
    temporary.write_text(document("two"))
    temporary.rename(path)


@pytest.mark.parametrize("change", [write_in_place, replace, Path.unlink, Path.touch])
def test_any_change_changes_the_signature(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """Also in a subdirectory, with the same size and an old modification time. Reading changes nothing."""
    (tmp_path / "team").mkdir()
    for path in (tmp_path / "one.json", tmp_path / "team" / "password"):
        path.write_text(document("one"))
        os.utime(path, ns=(1, 1))
        before = signature(tmp_path)
        read(tmp_path)
        assert signature(tmp_path) == before
        change(path)
        assert signature(tmp_path) != before


def test_a_path_that_is_not_a_directory_is_unavailable(tmp_path: Path) -> None:
    """A file or a loop of links is a problem, and not an empty source."""
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for name, words in {"file": "is not a directory", "loop": "is a loop of symbolic links"}.items():
        for look in (read, signature):
            with raises_problem(SecretsUnavailable, match=words) as caught:
                look(tmp_path / name)
            assert caught.value.subject == str(tmp_path / name)


AS_NOBODY = """
import os, sys
from pathlib import Path
from agent.edge.secret_files import read, signature
from agent.model.problem import ProblemError
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for result in read(Path(sys.argv[1])).values():
    print(*(problem.message for problem in result.problems))
for look, directory in ((signature, sys.argv[2]), (read, sys.argv[3])):
    try:
        look(Path(directory))
    except ProblemError as error:
        print(error.problem.message)
"""


def test_reports_missing_read_permissions() -> None:
    """An unreadable file is a bad secret. A directory that cannot be listed or entered is an unavailable source."""
    # Root may read everything, so another user reads. Other users cannot enter the parents of tmp_path.
    directory = Path("/tmp") / f"registry-agent-test-{os.getpid()}"  # noqa: S108 - removed below
    closed, denied, hidden = directory / "closed", directory / "denied.json", directory / "hidden.dir"
    listed = directory / ".listed"
    try:
        for path in (directory, closed, hidden, listed):
            path.mkdir(mode=0o755)
        denied.write_text(document("denied"))
        (listed / "one.json").write_text(document("one"))
        for path in (denied, closed, hidden):
            path.chmod(0)
        listed.chmod(0o644)
        child = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, directory, closed, listed],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        for path in (closed, hidden, listed):
            path.chmod(0o700)
        shutil.rmtree(directory)
    assert child.stdout.splitlines() == [
        *(f"{path} cannot be read: permission denied" for path in (closed, denied, hidden, closed)),
        f"{listed} cannot be entered: permission denied",
    ]


def calls_of_a_check(directory: Path) -> int:
    """How many system calls and functions one check for changes needs."""
    calls = 0

    def note(_frame: FrameType, event: str, called: object) -> None:
        nonlocal calls
        calls += event == "c_call" and called in (os.stat, os.lstat, os.listdir, os.scandir, os.open)

    sys.setprofile(note)
    try:
        signature(directory)
    finally:
        sys.setprofile(None)
    return calls


def test_a_foreign_file_costs_no_call_of_its_own(tmp_path: Path) -> None:
    """Next to secrets, and in the subdirectory of one. An idle agent checks its directories every 1.5 s."""
    (tmp_path / "team").mkdir()
    (tmp_path / "team/hostname").write_text("ghcr.io")
    (tmp_path / "one.json").write_text(document("one"))
    before = calls_of_a_check(tmp_path)
    for number in range(100):
        (tmp_path / f"certificate-{number}.pem").write_text("x")
        (tmp_path / f"team/note-{number}").write_text("x")
    assert calls_of_a_check(tmp_path) == before


def test_a_foreign_file_that_becomes_a_secret_is_a_change(tmp_path: Path) -> None:
    """A subdirectory, a link to one or a new name takes its place. A change of the foreign file itself is none."""
    foreign = tmp_path / "team"
    foreign.write_text("x")
    before = signature(tmp_path)
    foreign.write_text("longer")
    assert signature(tmp_path) == before
    seen = [before]
    foreign.unlink()
    foreign.mkdir()
    seen.append(signature(tmp_path))
    foreign.rmdir()
    foreign.symlink_to("elsewhere")
    seen.append(signature(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    seen.append(signature(tmp_path))
    foreign.unlink()
    (tmp_path / "team.json").write_text("x")
    seen.append(signature(tmp_path))
    assert len(set(seen)) == len(seen)
