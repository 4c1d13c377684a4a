"""Tests of the interface to systemd, with a real datagram socket and a real inherited socket."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from agent.edge.systemd import Systemd


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
    assert systemd.inherited_socket() is None


def test_ignores_the_watchdog_and_sockets_of_another_process() -> None:
    """The variables may be meant for the parent process, and only inherited."""
    systemd = Systemd({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1", "LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert systemd.watchdog_s is None
    assert systemd.inherited_socket() is None


def test_uses_an_inherited_socket(tmp_path: Path) -> None:
    """It is the listening socket of the socket unit, as file descriptor 3."""
    path = tmp_path / "agent.sock"
    code = (
        "import os\nfrom agent.edge.systemd import Systemd\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "print(Systemd(os.environ).inherited_socket().getsockname(), 'LISTEN_FDS' in os.environ)"
    )
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        number = listening.fileno()
        done = subprocess.run(
            ["/bin/bash", "-c", f'exec "$0" "$@" 3<&{number}', sys.executable, "-c", code],
            env={**os.environ, "LISTEN_FDS": "1"},
            pass_fds=[number],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == f"{path} False"
