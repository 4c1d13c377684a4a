"""Tests of the interface to systemd, with a real datagram socket and a real inherited socket."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from agent.edge.systemd import Inherited, Systemd

MESSAGE = "descriptor 3, which was passed to the agent in LISTEN_FDS,"


def test_each_notification_is_one_line(tmp_path: Path) -> None:
    """A line break in a status would start another field."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(address))
        environ = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "30000000", "HOME": "/x"}
        systemd = Systemd(environ)
        systemd.notify(READY="1", STATUS="2 of 3\nregistries")
        assert receiver.recv(1000) == b"READY=1\nSTATUS=2 of 3 registries"
    assert systemd.watchdog_s == 30
    assert environ == {"HOME": "/x"}
    systemd.notify(STOPPING="1")


def test_has_no_effect_without_systemd() -> None:
    """Missing variables are not an error."""
    systemd = Systemd({})
    systemd.notify(READY="1")
    assert systemd.watchdog_s is None
    assert systemd.inherited_sockets() == Inherited()


@pytest.mark.parametrize(
    "wrong",
    [
        {"WATCHDOG_PID": "1", "LISTEN_PID": "1"},
        {"LISTEN_PID": ""},
        {"WATCHDOG_USEC": "abc", "LISTEN_FDS": "abc"},
        {"WATCHDOG_USEC": "²", "LISTEN_FDS": "²"},
        {"WATCHDOG_USEC": "0", "LISTEN_FDS": "0"},
        {"WATCHDOG_USEC": "-1", "LISTEN_FDS": "-1"},
        {"WATCHDOG_USEC": "9" * 5000, "LISTEN_FDS": "9" * 5000},
    ],
)
def test_ignores_variables_of_another_process_and_wrong_numbers(wrong: dict[str, str]) -> None:
    """The variables may be meant for the parent process and only inherited, and anybody can set them."""
    given = {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    systemd = Systemd({**given, **wrong})
    assert systemd.watchdog_s is None
    assert systemd.inherited_sockets() == Inherited()


def listening(family: int, kind: int, address: Any) -> socket.socket:
    given = socket.socket(family, kind)
    given.bind(address)
    if kind != socket.SOCK_DGRAM:
        given.listen()
    return given


def passed(*files: int) -> tuple[list[str], list[str], list[int]]:
    """Pass these files to a process. Returns the paths that it serves, its problems, and the numbers left open."""
    code = """
import json, os
from agent.edge.systemd import Systemd
os.environ["LISTEN_PID"] = str(os.getpid())
inherited = Systemd(os.environ).inherited_sockets()
names = [each.getsockname() for each in inherited.sockets]
kept = [each for each in range(3, 3 + int(os.environ["PASSED"])) if os.path.exists(f"/proc/self/fd/{each}")]
assert not {"LISTEN_FDS", "LISTEN_PID"} & {*os.environ}
print(json.dumps([names, [f"{each.subject}: {each.message}" for each in inherited.problems], kept]))
"""
    # At first far away, because the numbers of the test may be those that the process must get.
    far = " ".join(f"{100 + index}<&{number}" for index, number in enumerate(files))
    near = " ".join(f"{3 + index}<&{100 + index} {100 + index}<&-" for index in range(len(files)))
    done = subprocess.run(
        ["/bin/bash", "-c", f'exec {far}; exec "$0" "$@" {near}', sys.executable, "-c", code],
        env={**os.environ, "LISTEN_FDS": str(len(files) or 1), "PASSED": str(len(files))},
        pass_fds=files,
        capture_output=True,
        text=True,
        check=True,
    )
    served, problems, kept = json.loads(done.stdout)
    return served, problems, kept


def test_takes_over_every_listening_unix_socket(tmp_path: Path) -> None:
    """A socket unit may listen on several paths. The first socket is file descriptor 3."""
    paths = [str(tmp_path / "agent.sock"), str(tmp_path / "second.sock")]
    with ExitStack() as stack:
        given = [stack.enter_context(listening(socket.AF_UNIX, socket.SOCK_STREAM, path)) for path in paths]
        assert passed(*(each.fileno() for each in given)) == (paths, [], [3, 4])


@pytest.mark.parametrize(
    "kind", ["TCP", "TCP over IPv6", "abstract", "datagram", "packets", "connected", "not listening", "file"]
)
def test_refuses_every_inherited_file_that_file_permissions_do_not_protect(tmp_path: Path, kind: str) -> None:
    """Served without a guard, a TCP socket would let every user and every website in. The good socket still works."""
    good = str(tmp_path / "agent.sock")
    other = str(tmp_path / "other")
    with ExitStack() as stack:
        first = stack.enter_context(listening(socket.AF_UNIX, socket.SOCK_STREAM, good))
        match kind:
            case "TCP":
                given: socket.socket | BinaryIO = listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
            case "TCP over IPv6":
                given = listening(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
            case "abstract":
                given = listening(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{other}")
            case "datagram":
                given = listening(socket.AF_UNIX, socket.SOCK_DGRAM, other)
            case "packets":
                given = listening(socket.AF_UNIX, socket.SOCK_SEQPACKET, other)
            case "connected":
                given = socket.socket(socket.AF_UNIX)
                given.connect(good)
            case "not listening":
                given = socket.socket(socket.AF_UNIX)
                given.bind(other)
            case _:
                given = stack.enter_context(Path(other).open("wb"))
        stack.enter_context(given)
        served, problems, kept = passed(given.fileno(), first.fileno())
    assert (served, kept) == ([good], [4])
    fault = "a socket" if kind == "file" else "a listening Unix socket with a path"
    assert problems == [f"descriptor 3: {MESSAGE} is not {fault}"]


def test_reports_a_descriptor_that_is_not_open() -> None:
    """Its number may already belong to a file of the agent, which must stay open."""
    served, problems, _ = passed()
    assert (served, problems) == ([], [f"descriptor 3: {MESSAGE} is not open"])
