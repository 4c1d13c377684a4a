"""Tests of docker-credential-registry-agent, run as docker runs it, against a real Unix socket."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from agent import __version__
from agent.edge import paths
from agent.helper import docker_credential_registry_agent as program
from tests.helper.listener import Listener, listening, reply
from tests.rig.waiting import until

FILE = Path(program.__file__)
SYSTEM_PYTHON = "/usr/bin/python3"
"""One that other users can run."""
LOGIN = b'{"ServerURL":"ghcr.io","Username":"me","Secret":"s3cret"}\n'
NOT_FOUND = b"credentials not found in native keychain\n"


def run(
    *arguments: str, text: bytes = b"", agent: Path | None = None, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    environ = environ or {"REGISTRY_AGENT_SOCKET": str(agent or "/nonexistent/agent.sock")}
    command = [sys.executable, "-ISE", str(FILE), *arguments]
    return subprocess.run(command, input=text, capture_output=True, env=environ, check=False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


def documented_copy(to: Path, agent: Path, shell: str) -> int:
    """Paste the commands of docs/helper.md. `agent` is the directory with `registry-agent`. Returns the exit code."""
    document = (FILE.parents[2] / "docs/helper.md").read_text()
    (commands,) = [block for block in document.split("```") if "sudo install" in block]
    sudo = to.with_name("sudo")
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    script = commands.removeprefix("sh").replace("/usr/bin/docker-credential-registry-agent", str(to))
    environ = {"PATH": f"{to.parent}:{agent}:/usr/bin:/bin", "TMPDIR": str(to.parent)}
    return subprocess.run([shell, "-c", script], env=environ, cwd=to.parent, check=False).returncode


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_documented_copy_is_a_file_of_its_own_that_runs(tmp_path: Path, shell: str) -> None:
    """Not a link into a home directory: all users run it, and `docker login` passes passwords to it."""
    copy, link = tmp_path / "copy", tmp_path / "registry-agent"
    link.symlink_to(Path(sys.executable).with_name("registry-agent"))
    assert documented_copy(copy, tmp_path, shell) == 0
    assert not copy.is_symlink()
    done = subprocess.run([copy, "version"], capture_output=True, check=True)
    assert done.stdout == f"docker-credential-registry-agent (registry-agent) {__version__}\n".encode()


def test_the_documented_copy_is_not_made_without_the_agent(tmp_path: Path) -> None:
    """An empty program would count as installed, and docker would get no login from it."""
    assert documented_copy(tmp_path / "copy", tmp_path / "nothing", "bash") != 0
    assert not (tmp_path / "copy").exists()


def test_prints_exactly_what_the_agent_sends(place: Path) -> None:
    """The agent composes the answer. The program only decides its exit code, by the HTTP status."""
    with listening(place, reply("200 OK", LOGIN)) as agent:
        done = run("get", text=b"ghcr.io\n", agent=place)
    assert (done.returncode, done.stdout, done.stderr) == (0, LOGIN, b"")
    assert agent.requests[0].startswith(b"POST /v1/credential?action=get HTTP/1.0\r\n")
    assert agent.requests[0].endswith(b"\r\n\r\nghcr.io\n")


@pytest.mark.parametrize("status", ["404 Not Found", "409 Conflict"])
def test_a_refusal_that_docker_shows_itself_is_only_on_stdout(place: Path, status: str) -> None:
    """`credentials not found` must stay silent: a public pull continues without a login."""
    with listening(place, reply(status, NOT_FOUND)):
        done = run("get", text=b"ghcr.io", agent=place)
    assert (done.returncode, done.stdout, done.stderr) == (1, NOT_FOUND, b"")


@pytest.mark.parametrize("status", ["403 Forbidden", "500 Internal Server Error", "503 Service Unavailable"])
def test_any_other_failure_is_on_both_outputs(place: Path, status: str) -> None:
    """`docker pull` before version 29 shows only stderr of a helper, and podman shows only stdout."""
    with listening(place, reply(status, b"why\n")):
        done = run("get", text=b"ghcr.io", agent=place)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"why\n", b"why\n")


def test_a_dead_agent_is_named_with_registry_and_fix() -> None:
    done = run("get", text=b"ghcr.io")
    expected = (
        b"registry-agent has no login for ghcr.io: registry-agent is not running; "
        b"start it: `registry-agent run`, or its systemd unit\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, expected, expected)


def test_half_an_answer_is_not_an_answer(place: Path) -> None:
    """An agent that is killed while it answers must not make docker use half a password."""
    with listening(place, reply("200 OK", LOGIN)[:-9]):
        done = run("get", text=b"ghcr.io", agent=place)
    assert done.returncode == 1
    assert b"s3cret"[:4] not in done.stdout + done.stderr
    assert b"stopped in the middle" in done.stdout


def test_a_silent_agent_ends_at_the_deadline(place: Path) -> None:
    """Docker waits for a helper without a limit, so the helper needs one."""
    with listening(place, None):
        done = run("get", text=b"ghcr.io", agent=place)
    assert done.returncode == 1
    assert b"registry-agent did not answer within 15 s" in done.stdout
    assert done.stdout == done.stderr


@pytest.mark.parametrize("server", [b"\x1b[2Jghcr.io", b"me:s3cret@ghcr.io", b"x" * 70_000, b"ghcr.io\nsecond line"])
def test_a_hostile_server_string_is_not_repeated(server: bytes) -> None:
    done = run("get", text=server)
    assert done.returncode == 1
    assert done.stdout.startswith(b"registry-agent has no login for this registry: ")
    assert done.stdout.count(b"\n") == 1


def test_a_password_that_cannot_be_stored_is_not_printed() -> None:
    done = run("store", text=b'{"ServerURL":"ghcr.io","Username":"me","Secret":"s3cret"}')
    assert done.returncode == 1
    assert b"s3cret" not in done.stdout + done.stderr


def test_erase_succeeds_without_an_agent() -> None:
    """`docker logout` continues only after a success. The agent keeps its login, so there is nothing to do."""
    done = run("erase", text=b"ghcr.io")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("stdin", ["<&-", "0>/dev/null", "</dev/null"])
def test_input_that_cannot_be_read_is_no_input(place: Path, stdin: str) -> None:
    """`erase` does nothing, so nothing can fail. The agent's answer to `get` reports that the server is missing."""

    def answer(action: str) -> tuple[int, bytes]:
        command = ["sh", "-c", f'"$@" {stdin}', "sh", sys.executable, "-ISE", str(FILE), action]
        done = subprocess.run(command, capture_output=True, env={"REGISTRY_AGENT_SOCKET": str(place)}, check=False)
        return done.returncode, done.stdout + done.stderr

    assert answer("erase") == (0, b"")
    with listening(place, reply("409 Conflict", b"no credentials server URL\n")) as agent:
        assert answer("get") == (1, b"no credentials server URL\n")
    assert agent.requests[0].endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("is_up", [True, False])
def test_a_reason_does_not_need_stderr(place: Path, stderr: str, is_up: bool) -> None:
    """Programs that show stdout may have closed stderr."""
    command = ["sh", "-c", f'"$@" {stderr}', "sh", sys.executable, "-ISE", str(FILE), "get"]
    with listening(place if is_up else place.with_name("other"), reply("503 Service Unavailable", b"why\n")):
        environ = {"REGISTRY_AGENT_SOCKET": str(place)}
        done = subprocess.run(command, input=b"ghcr.io", stdout=subprocess.PIPE, env=environ, check=False)
    assert done.returncode == 1
    assert done.stdout == b"why\n" if is_up else b"is not running" in done.stdout


def test_an_agent_with_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    """The kernel refuses a connection at once while the queue is full. The agent runs, so this is no reason to fail."""
    agent = Listener(tmp_path / "agent.sock", reply("200 OK", LOGIN), backlog=0)
    waiting: list[socket.socket] = []
    with suppress(BlockingIOError):
        while True:
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            waiting[-1].connect(str(agent.path))
    command = [sys.executable, "-ISE", str(FILE), "get"]
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={"REGISTRY_AGENT_SOCKET": str(agent.path)}
    )

    def has_socket() -> bool:
        places = [os.path.realpath(each) for each in Path(f"/proc/{child.pid}/fd").iterdir()]
        return any("socket:" in place for place in places)

    until("the first attempt", lambda: child.poll() is not None or has_socket())
    for each in waiting:
        each.close()
    thread = Thread(target=agent.serve)
    thread.start()
    assert child.communicate()[0] == LOGIN
    agent.close()
    thread.join()


def test_asks_again_while_too_many_programs_wait(place: Path) -> None:
    """The agent has fewer connections than a large build has pulls. All of them get their login."""
    with listening(place, reply("429 Too Many Requests", b"busy\n"), reply("200 OK", LOGIN)) as agent:
        done = run("get", text=b"ghcr.io", agent=place)
    assert (done.returncode, done.stdout, done.stderr) == (0, LOGIN, b"")
    assert len(agent.requests) == 2


def test_list_does_not_wait_for_its_input(place: Path) -> None:
    """Some programs keep the input of `list` open."""
    reader, writer = os.pipe()
    with listening(place, reply("200 OK", b"{}\n")):
        command = [sys.executable, "-ISE", str(FILE), "list"]
        environ = {"REGISTRY_AGENT_SOCKET": str(place)}
        done = subprocess.run(command, stdin=reader, capture_output=True, env=environ, check=False, timeout=300)
    os.close(reader)
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, b"{}\n")


def test_reports_the_version_of_the_agent() -> None:
    done = run("version")
    assert done.stdout == f"docker-credential-registry-agent (registry-agent) {__version__}\n".encode()
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [(), ("get", "ghcr.io"), ("login",), ("",)])
def test_wrong_usage_is_reported_on_stdout(arguments: tuple[str, ...]) -> None:
    """The protocol reports all errors on stdout, with exit code 1."""
    done = run(*arguments)
    assert done.returncode == 1
    assert b"docker-credential-registry-agent" in done.stdout
    assert done.stderr == b""


def test_never_prints_a_traceback(place: Path) -> None:
    """With closed outputs, a full answer or a signal, the exit code is 1 and stderr stays empty."""
    with listening(place, reply("200 OK", LOGIN)):
        command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-ISE", str(FILE), "get"]
        environ = {"REGISTRY_AGENT_SOCKET": str(place)}
        done = subprocess.run(command, input=b"ghcr.io", capture_output=True, env=environ, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_an_interrupt_ends_it_without_a_traceback(place: Path) -> None:
    with listening(place, None) as agent:
        command = [sys.executable, "-ISE", str(FILE), "get"]
        environ = {"REGISTRY_AGENT_SOCKET": str(place)}
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
        )
        assert child.stdin is not None
        child.stdin.write(b"ghcr.io")
        child.stdin.close()
        child.stdin = None
        while not agent.requests:
            os.sched_yield()
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate()
    assert (child.returncode, output, errors) == (1, b"", b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run programs as other users")
def test_another_users_listener_gets_nothing() -> None:
    """A program of another user at the agent's path could collect the passwords of `docker login`."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o777)
        place, copied = directory / "agent.sock", directory / "program"
        copied.write_bytes(FILE.read_bytes())
        code = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True)"
        )
        code += "; import os; os.chmod(sys.argv[1], 0o777); print(flush=True); c, _ = s.accept(); print(c.recv(9))"
        thief = subprocess.Popen([SYSTEM_PYTHON, "-c", code, place], stdout=subprocess.PIPE, user=65533)
        assert thief.stdout is not None
        thief.stdout.readline()
        thief.stdout.readline()
        done = subprocess.run(
            [SYSTEM_PYTHON, "-ISE", copied, "store"],
            input=b'{"Secret":"s3cret"}',
            capture_output=True,
            env={"REGISTRY_AGENT_SOCKET": str(place)},
            check=False,
            user=65532,
        )
        assert thief.communicate()[0] == b"b''\n"
    assert done.returncode == 1
    assert b"another user's program listens on the agent's socket" in done.stdout


def test_imports_only_what_the_interpreter_has_built_in() -> None:
    """Starting the interpreter is nearly the whole cost of the program. Each module from a file would add to it."""
    command = [sys.executable, "-ISE", "-X", "importtime", str(FILE), "version"]
    done = subprocess.run(command, capture_output=True, check=True, env={})
    bare = subprocess.run(
        [sys.executable, "-ISE", "-X", "importtime", "-c", ""], capture_output=True, check=True, env={}
    )
    loaded, without = (
        {line.split("|")[-1].strip() for line in each.stderr.decode().splitlines()} for each in (done, bare)
    )
    assert loaded - without <= {"_socket", *sys.builtin_module_names}


ENVIRONMENTS = [
    {},
    {"HOME": "/somewhere"},
    {"XDG_RUNTIME_DIR": "/run/user/1000"},
    {"RUNTIME_DIRECTORY": "/run/registry-agent/me/work:/other", "STATE_DIRECTORY": "/var/lib/x:/y"},
    {"XDG_STATE_HOME": "/state", "XDG_RUNTIME_DIR": "/run/user/7"},
]


@pytest.mark.parametrize("environ", ENVIRONMENTS)
def test_looks_where_the_commands_look(environ: dict[str, str]) -> None:
    """The program cannot import the agent's list of sockets, so it has a copy."""
    account = pwd.getpwuid(os.geteuid())
    given = {name.encode(): value.encode() for name, value in environ.items()}
    found = program.socket_candidates(given, account.pw_name, account.pw_dir, os.geteuid())
    assert [os.fsdecode(place) for place in found] == [str(place) for place in paths.socket_candidates(None, environ)]


def note(directory: Path, text: str) -> Path:
    """Write what an agent notes in the Docker configuration that it manages."""
    directory.mkdir()
    (directory / ".registry-agent.lock").write_text(text)
    return directory


def test_asks_the_agent_of_dockers_configuration(tmp_path: Path, place: Path) -> None:
    """Another agent of the user listens at the usual place, and manages another configuration."""
    session, home = tmp_path / "session", tmp_path / "home"
    home.mkdir()
    (session / "registry-agent").mkdir(parents=True)
    note(home / ".docker", f"{place}\n")
    elsewhere = note(tmp_path / "elsewhere", f"{place}\n")
    usual = {"XDG_RUNTIME_DIR": str(session), "HOME": str(home)}
    with listening(session / "registry-agent/agent.sock", reply("404 Not Found", NOT_FOUND)):
        with listening(place, reply("200 OK", LOGIN)):
            for environ in (usual, {**usual, "HOME": "/", "DOCKER_CONFIG": str(elsewhere)}):
                assert run("get", text=b"ghcr.io", environ=environ).stdout == LOGIN
        assert b"is not running" in run("get", text=b"ghcr.io", environ=usual).stdout


@pytest.mark.parametrize("noted", ["", "{place}", "/nowhere/agent.sock\n", "\n", "\0\n"])
def test_a_note_that_leads_nowhere_changes_nothing(tmp_path: Path, place: Path, noted: str) -> None:
    """The agent is just writing it, or a container shares the configuration and has the socket elsewhere."""
    (tmp_path / "registry-agent").mkdir()
    directory = note(tmp_path / "docker", noted.format(place=place))
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "DOCKER_CONFIG": str(directory), "HOME": "/"}
    with listening(tmp_path / "registry-agent/agent.sock", reply("200 OK", LOGIN)):
        assert run("get", text=b"ghcr.io", environ=environ).stdout == LOGIN


def test_a_given_socket_beats_the_note(tmp_path: Path) -> None:
    directory = note(tmp_path / "docker", f"{tmp_path}/agent.sock\n")
    given = {b"REGISTRY_AGENT_SOCKET": b"/shared/agent.sock", b"DOCKER_CONFIG": os.fsencode(directory)}
    assert program.socket_of_configuration(given, "/home/me", os.geteuid()) == []


def test_a_note_of_another_user_does_not_count(tmp_path: Path) -> None:
    """A stranger could put it into a directory for all users, and would get the passwords of `docker login`."""
    directory = note(tmp_path / "docker", f"{tmp_path}/agent.sock\n")
    given = {b"DOCKER_CONFIG": os.fsencode(directory)}
    assert program.socket_of_configuration(given, "/home/me", os.geteuid()) == [os.fsencode(tmp_path / "agent.sock")]
    assert program.socket_of_configuration(given, "/home/me", os.geteuid() + 1) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_names_the_user_whose_agent_keeps_the_configuration(tmp_path: Path) -> None:
    """`sudo -E docker` runs the program as root, with the user's configuration."""
    directory = note(tmp_path / "docker", f"{tmp_path}/agent.sock\n")
    os.chown(directory / ".registry-agent.lock", pwd.getpwnam("daemon").pw_uid, -1)
    for environ in ({"DOCKER_CONFIG": str(directory)}, {"HOME": str(tmp_path)}):
        if "HOME" in environ:
            directory.rename(tmp_path / ".docker")
        done = run("get", text=b"ghcr.io", environ={**environ, "RUNTIME_DIRECTORY": str(tmp_path)})
        assert done.returncode == 1
        assert b"belongs to the agent of user daemon, and user root runs docker" in done.stdout
        assert b"run docker as user daemon, or set REGISTRY_AGENT_SOCKET" in done.stdout
        assert done.stdout == done.stderr


def test_a_given_socket_is_the_only_one() -> None:
    given = {b"REGISTRY_AGENT_SOCKET": b"/shared/agent.sock", b"XDG_RUNTIME_DIR": b"/run/user/1"}
    assert program.socket_candidates(given, "me", "/home/me", 1000) == [b"/shared/agent.sock"]
