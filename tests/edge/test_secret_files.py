"""Tests of secret directories, on a real file system."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

from agent.edge import secret_files
from agent.edge.secret_files import LARGEST, read, signature
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret_formats import ParseResult, after_reading, read_document
from agent.model.sensitive import Sensitive
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


DOCKER: Final = '{"auths": {"quay.io": {"username": "u", "password": "p"}}}'
OLD_DOCKER: Final = '{"https://index.docker.io/v1/": {"auth": "dTpw"}}'
FIELDS: Final = {"hostname": "docker.io\n", "username": "bot\n", "password": "p\n"}


def write(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(content)


@pytest.mark.parametrize("inner", ["", "regcred", ".docker"])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"one.json": document("one")}, ["one"]),
        ({"one": document("one")}, ["one"]),
        ({".hidden.json": document("one")}, ["one"]),
        ({"one.json.bak": document("one")}, ["one"]),
        ({"team~prod.json": document("one")}, ["one"]),
        ({"#1 team #2.json": document("one")}, ["one"]),
        ({"4913.json": document("one")}, ["one"]),
        ({".dockerconfigjson": DOCKER}, ["dockerconfigjson-quay.io"]),
        ({"config.json": DOCKER}, ["config-quay.io"]),
        ({".dockercfg": OLD_DOCKER}, ["dockercfg-docker.io"]),
        (FIELDS, ["here-docker.io"]),
        ({**FIELDS, "two": document("two")}, ["here-docker.io", "two"]),
    ],
)
def test_every_file_with_a_secret_is_used(
    tmp_path: Path, inner: str, files: dict[str, str], expected: list[str]
) -> None:
    """Its name and its suffix do not matter, and it may be one directory deep."""
    directory = tmp_path / "here"
    directory.mkdir()
    write(directory / inner, files)
    assert sorted(names(directory)) == sorted(name.replace("here", inner or "here") for name in expected)
    assert faults(directory) == {}


@pytest.mark.parametrize("inner", ["", "regcred/"])
@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("notes.txt", "the login for our registry", "is plain text, not JSON"),
        ("README.md", "# Secrets", "is plain text, not JSON"),
        ("token", PASSWORD, "is a single value, such as a password or token, not JSON"),
        ("ca.crt", "-----BEGIN CERTIFICATE-----", "is a certificate or a key (PEM), not a registry secret"),
        (".env", "A=1\nB=2", "is a list of variables, not JSON"),
        ("values.yaml", "registry: ghcr.io", "is YAML, not JSON"),
        (".gitkeep", "", "is empty"),
        ("x.tmp", "{", "is not JSON (line 1, column 2)"),
        ("REGIST~1.JSO", "{", "is not JSON (line 1, column 2)"),
    ],
)
def test_every_other_file_is_reported(tmp_path: Path, inner: str, name: str, content: str, fault: str) -> None:
    """It never stays unnoticed, and the secrets next to it work."""
    write(tmp_path, {"one.json": document("one")})
    write(tmp_path / inner, {name: content})
    assert names(tmp_path) == ["one"]
    assert faults(tmp_path) == {f"{inner}{name}": f"{inner}{name} {fault}"}


@pytest.mark.parametrize("place", [".", "team"])
def test_a_file_next_to_the_fields_of_a_secret_is_reported(tmp_path: Path, place: str) -> None:
    """A typo in its name must not hide a field."""
    write(tmp_path / place, {**FIELDS, "passwort": "x"})
    assert len(names(tmp_path)) == 1
    (fault,) = faults(tmp_path).values()
    assert "passwort is a single value" in fault


@pytest.mark.parametrize(
    "files",
    [
        {"HOSTNAME": "hostname", "USERNAME": "username", "PASSWORD": "password"},
        {"hostname.txt": "hostname", "user.txt": "username", "token.txt": "password"},
        {"server": "hostname"},
        {"Registry-URL": "hostname", "login": "username"},
    ],
)
@pytest.mark.parametrize("inner", ["", "regcred"])
def test_a_field_in_a_file_with_another_name_is_called_by_its_name(
    tmp_path: Path, inner: str, files: dict[str, str]
) -> None:
    """The fix is to rename the file, and then the secret works."""
    directory = tmp_path / inner
    directory.mkdir(exist_ok=True)
    write(directory, {name: value for name, value in FIELDS.items() if name not in files.values()})
    write(directory, {name: FIELDS[field] for name, field in files.items()})
    hints = {p.subject: p.hint for result in read(tmp_path).values() for p in result.problems}
    assert {str(directory / name): f"rename it to {field}" for name, field in files.items()}.items() <= hints.items()
    for name, field in files.items():
        (directory / name).rename(directory / field)
    assert (len(names(tmp_path)), faults(tmp_path)) == (1, {})


def test_a_document_may_have_the_name_of_a_field(tmp_path: Path) -> None:
    """A compose secret can be called `registry` or `token`."""
    write(tmp_path, {"registry": document("one"), "token": document("two")})
    assert sorted(names(tmp_path)) == ["one", "two"]
    write(tmp_path, {"registry": document("one"), "token": PASSWORD, "user": "bot"})
    assert names(tmp_path) == ["one"]


def test_only_temporary_files_of_editors_and_of_kubernetes_are_passed_over(tmp_path: Path) -> None:
    """They hold copies, or parts, of the files next to them."""
    passed_over = ("one.json~", "..data", "..2026_11_29", ".one.json.swp", ".one.json.swx", ".#one.json", "#one.json#")
    write(tmp_path, dict.fromkeys((*passed_over, "4913", ".goutputstream-A1", "one.json___jb_tmp___"), "nonsense"))
    (tmp_path / "lost+found").mkdir()
    assert read(tmp_path) == {}


def test_a_file_two_directories_deep_is_reported(tmp_path: Path) -> None:
    """The token of the pod, which Kubernetes mounts that deep, is no mistake."""
    for name in ("a/b", "kubernetes.io/serviceaccount", "empty/below"):
        (tmp_path / name).mkdir(parents=True)
    write(tmp_path / "a/b", {"one.json": document("one")})
    write(tmp_path / "kubernetes.io/serviceaccount", {"token": PASSWORD})
    (problem,) = (problem for result in read(tmp_path).values() for problem in result.problems)
    assert problem.subject == str(tmp_path / "a/b")
    assert f"add {tmp_path / 'a/b'} to secrets.directories" in problem.hint


@pytest.mark.parametrize("name", ["team.json", ".dockerconfigjson", "pull.yaml"])
def test_a_directory_that_docker_made_in_place_of_a_file_is_reported(tmp_path: Path, name: str) -> None:
    """Docker creates it if the source of a mount does not exist. The hint says so."""
    (tmp_path / name).mkdir()
    (problem,) = read(tmp_path)[str(tmp_path / name)].problems
    assert "is an empty directory" in problem.message
    assert "the source of a mount does not exist" in problem.hint


ENCODINGS: Final = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_files_from_windows_are_read(tmp_path: Path, encoding: str, line_end: str) -> None:
    """PowerShell writes UTF-16, editors write a byte order mark: in every kind of file."""
    (tmp_path / "team").mkdir()
    files = {"one.json": json.dumps(json.loads(document("one")), indent=1), ".dockercfg": OLD_DOCKER}
    files |= {f"team/{field}": content for field, content in FIELDS.items()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.replace("\n", line_end).encode(encoding))
    assert sorted(names(tmp_path)) == ["dockercfg-docker.io", "one", "team-docker.io"]
    found = [secret for result in read(tmp_path).values() for secret in result.secrets]
    assert {(secret.username, secret.password) for secret in found} == {
        ("bot", Sensitive(PASSWORD)),
        ("bot", Sensitive("p")),
        ("u", Sensitive("p")),
    }


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
        (os.mkfifo, "bad.json is a pipe, not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "bad.json is a device, not a regular file"),
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


@pytest.mark.parametrize("name", ["bad.yaml", "password"])
def test_a_bug_costs_only_the_file_that_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Only the type of the error is reported, because its text might quote the file."""

    def read_with_a_bug(text: str, origin: str, stem: str) -> ParseResult:
        if "tricky" in text:
            raise TypeError(text)
        return read_document(text, origin, stem)

    monkeypatch.setattr(secret_files, "read_document", read_with_a_bug)
    write(tmp_path, {"good.json": document("good"), name: '{"password": "tricky"}'})
    assert names(tmp_path) == ["good"]
    assert faults(tmp_path) == {
        name: f"{name} cannot be read: this is a bug in registry-agent (TypeError); please report it"
    }


def test_a_path_that_cannot_be_resolved_hides_no_other(tmp_path: Path) -> None:
    """Such as one that is no text of this machine, or a relative one after the working directory was removed."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "removed").mkdir()
    odd, subject = ["/x/\ud800", "/x/\0", "aws/config"], f"{tmp_path}/token"
    with contextlib.chdir(tmp_path / "removed"):
        Path.cwd().rmdir()
        assert secret_files.same_files([*odd, subject], [*odd, f"{tmp_path}/link/token"]) == [subject]


def test_does_not_open_a_socket(tmp_path: Path) -> None:
    """A socket is not a regular file either."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "bad.json"))
        assert faults(tmp_path) == {"bad.json": "bad.json is a socket, not a regular file"}


def test_names_the_bad_field_of_a_subdirectory(tmp_path: Path) -> None:
    """A FIFO among the files does not block the reader."""
    for make, kind in ((os.mkfifo, "a pipe"), (Path.mkdir, "a directory")):
        team = tmp_path / kind
        team.mkdir()
        (team / "hostname").write_text("ghcr.io")
        make(team / "password")
        (problem,) = read(tmp_path)[str(team / "hostname")].problems
        assert problem.message == f"{team} has a password that is {kind}, not a regular file"
        assert "replace it with a regular file" in problem.hint


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
        f"{listed} cannot be entered: permission denied",
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


def test_a_file_that_is_passed_over_costs_no_extra_call(tmp_path: Path) -> None:
    """Next to secrets, and in the subdirectory of one. An idle agent checks its directories all the time."""
    (tmp_path / "team").mkdir()
    (tmp_path / "team/hostname").write_text("ghcr.io")
    (tmp_path / "one.json").write_text(document("one"))
    before = calls_of_a_check(tmp_path)
    for number in range(100):
        (tmp_path / f"..certificate-{number}").write_text("x")
        (tmp_path / f"team/note-{number}~").write_text("x")
    assert calls_of_a_check(tmp_path) == before


def test_a_file_that_is_no_secret_yet_can_become_one(tmp_path: Path) -> None:
    """New content, a subdirectory, a link to one or a new name takes its place."""
    foreign = tmp_path / "team"
    foreign.write_text("x")
    seen = [signature(tmp_path)]
    foreign.write_text("longer")
    seen.append(signature(tmp_path))
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


def test_files_whose_names_look_alike_have_warnings_of_their_own(tmp_path: Path) -> None:
    """Characters that no terminal shows are escaped. A blank in their place would make several files one."""
    names = [
        b"b\xff.json",
        b"b\xfe.json",
        b"b\n.json",
        b"b\t.json",
        b"b .json",
        b"b.json ",
        b"b.json",
        "b\u202e.json".encode(),
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text('{"hostname":')
    results = read(tmp_path).values()
    subjects = {problem.subject for result in results for problem in result.problems}
    shown = [
        "b\\xff.json",
        "b\\xfe.json",
        "b\\x0a.json",
        "b\\x09.json",
        "b .json",
        "b.json\\x20",
        "b.json",
        "b\\u202e.json",
    ]
    assert subjects == {f"{tmp_path}/{name}" for name in shown}
    assert all(problem.message.startswith(problem.subject) for result in results for problem in result.problems)


@pytest.mark.parametrize("inner", ["", "team"])
@pytest.mark.parametrize("content", [document("one"), f"[{document('one')}]", json.dumps(document("one"))])
def test_a_document_may_be_called_password(tmp_path: Path, inner: str, content: str) -> None:
    """Compose and swarm mount a whole secret as a file of any name. What breaks it later is reported as such."""
    write(tmp_path / inner, {"password": content})
    assert (names(tmp_path), faults(tmp_path)) == (["one"], {})
    last = read(tmp_path)
    for broken in ("", "{", "not JSON"):
        write(tmp_path / inner, {"password": broken})
        kept = after_reading(last, read(tmp_path))
        assert [secret.name for result in kept.values() for secret in result.secrets] == ["one"]
        assert len(faults(tmp_path)) == 1


@pytest.mark.parametrize("inner", ["", "team"])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('[{"name": "one", "hostname": "a b", "username": "bot", "password": "p"}]', "not a host name"),
        ("apiVersion: v1\nkind: ConfigMap\n", "is a Kubernetes ConfigMap"),
        ("[not JSON", "hostname is missing"),
        ('["pass", "show"]', "hostname is missing"),
    ],
)
def test_a_fault_of_a_document_called_password_is_named(tmp_path: Path, inner: str, content: str, fault: str) -> None:
    """The same in a directory and in a Kubernetes Secret. A password or a command may begin with a bracket too."""
    write(tmp_path / inner, {"password": content})
    (message,) = faults(tmp_path).values()
    assert fault in message
    manifest = json.dumps({"apiVersion": "v1", "kind": "Secret", "stringData": {"password": content}})
    (problem,) = read_document(manifest, "s", "s").problems
    assert fault in problem.message


def test_next_to_a_host_name_a_document_is_the_value_of_a_field(tmp_path: Path) -> None:
    """Such as the key of a Google service account, or a password that looks like a list."""
    for password in (document("one"), '{"type": "service_account"}', "[]"):
        write(tmp_path, {**FIELDS, "password": password})
        (secret,) = (secret for result in read(tmp_path).values() for secret in result.secrets)
        assert secret.password == Sensitive(password)


def test_fields_without_a_host_name_are_one_problem(tmp_path: Path) -> None:
    """It is about the password, which another secret may name as its password_file."""
    write(tmp_path / "team", {"username": "bot", "password": "[]", "password_command": '["pass", "show"]'})
    (subject,) = faults(tmp_path)
    assert subject == "team/password"


@pytest.mark.parametrize("password", [b"p\0ss", b"\0ps\0", b"p\0s", b"pass\0word"])
def test_a_password_with_nul_bytes_never_becomes_another_one(tmp_path: Path, password: bytes) -> None:
    """It is no UTF-16, although a NUL byte among the first ones looks so."""
    write(tmp_path, FIELDS)
    (tmp_path / "password").write_bytes(password)
    assert names(tmp_path) == []
    assert len(faults(tmp_path)) == 1
