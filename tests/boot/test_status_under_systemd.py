"""Every status request gets an answer: before the agent is up, while it restarts, and after it hung."""

import http.client
import json
import threading
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.boot.conftest import DROP_INS, SERVICE, SOCKET_PATH, Boot
from tests.rig.booted import Booted
from tests.rig.status import get_status
from tests.rig.waiting import until

_PATIENCE_S: Final = 120.0
_EARLY: Final = "/run/early.json"
_DASHBOARD: Final = f"""
import json, socket, time
times = {{"began": time.monotonic()}}
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect("{SOCKET_PATH}")
    times["connected"] = time.monotonic()
    asking.sendall(b"GET /v1/status HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
    answer = b"".join(iter(lambda: asking.recv(65536), b""))
times["answered"] = time.monotonic()
times["status"] = json.loads(answer.partition(b"\\r\\n\\r\\n")[2])
with open("{_EARLY}.new", "w") as file:
    json.dump(times, file)
import os; os.rename("{_EARLY}.new", "{_EARLY}")
"""
_EARLY_UNIT: Final = """
[Unit]
DefaultDependencies=no
After=sockets.target
Before=basic.target
[Service]
Type=exec
ExecStart=/usr/bin/python3 /etc/dashboard.py
"""


def ask(machine: Booted) -> dict[str, Any]:
    return get_status(machine.path(SOCKET_PATH), _PATIENCE_S)


def test_answers_requests_that_came_when_the_socket_opened(boot: Boot, enabled: Path, tmp_path: Path) -> None:
    """A dashboard that starts right after sockets.target connects before the agent is ready, and gets its answer."""
    files = {
        "/etc/dashboard.py": _DASHBOARD,
        "/etc/systemd/system/dashboard.service": _EARLY_UNIT,
        "/etc/systemd/system/sysinit.target.d/dashboard.conf": "[Unit]\nWants=dashboard.service\n",
    }
    for path, text in files.items():
        (tmp_path / Path(path).name).write_text(text)
    machine = boot(enabled, binds={path: tmp_path / Path(path).name for path in files})
    early = until("the dashboard's answer", lambda: _read(machine.path(_EARLY)), _PATIENCE_S)
    ready = int(machine.wait_for(SERVICE).property("ActiveEnterTimestampMonotonic", SERVICE)) / 1_000_000
    reached = int(machine.property("ActiveEnterTimestampMonotonic", "sockets.target")) / 1_000_000
    assert reached < early["began"] < early["connected"] < ready
    assert early["status"]["schema"] == "registry-agent/status/v1"


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.torture)])
def test_kills_in_a_row_and_no_request_refused(machine: Booted, kills: int) -> None:
    """After each kill the agent restarts by itself, and requests wait for it. The test shortens only the 2 s pause."""
    _change(machine, "RestartSec=20ms")
    asking = _Asking(machine.path(SOCKET_PATH))
    for number in range(kills):
        again = partial(_again, machine, ask(machine)["invocation_id"])
        machine.must("systemctl", "kill", "--kill-who=main", "--signal=KILL", SERVICE)
        until(f"the agent's return after kill {number + 1}", again, _PATIENCE_S)
    refused, answered = asking.stop()
    assert not refused
    assert answered >= kills
    assert machine.property("NRestarts", SERVICE) == str(kills)


def test_a_frozen_agent_is_killed_and_shows_where_it_hung(machine: Booted) -> None:
    """SIGSTOP simulates an event loop that hangs. The test shortens the watchdog's 30 s."""
    _change(machine, "WatchdogSec=2s", "RestartSec=20ms")
    machine.must("systemctl", "restart", SERVICE)
    machine.must("systemctl", "kill", "--kill-who=main", "--signal=STOP", SERVICE)
    until("a restart", lambda: machine.property("NRestarts", SERVICE) == "1", _PATIENCE_S)
    assert ask(machine)["schema"]
    journal = "\n".join(machine.journal("--unit", SERVICE))
    assert "Watchdog timeout" in journal
    assert "most recent call first" in journal
    assert "/agent/cli/run.py" in journal, journal
    assert "status=6/ABRT" in journal


def test_an_agent_that_hangs_while_it_is_loaded_shows_where(machine: Booted) -> None:
    """It never reports that it is ready. Systemd ends it in the same way, and starts it again."""
    library = machine.must("sh", "-c", "echo /usr/local/lib/registry-agent/lib/python3*/site-packages").strip()
    machine.write(f"{library}/hang.pth", "import threading; threading.Event().wait()\n")
    _change(machine, "TimeoutStartSec=1s", "RestartSec=20ms")
    machine.run("systemctl", "restart", SERVICE)
    until("another try", lambda: int(machine.property("NRestarts", SERVICE)) > 0, _PATIENCE_S)
    assert "most recent call first" in "\n".join(machine.journal("--unit", SERVICE))


def _change(machine: Booted, *lines: str) -> None:
    machine.write(f"{DROP_INS}/test.conf", "\n".join(["[Service]", *lines, ""]))
    machine.must("systemctl", "daemon-reload")


def _again(machine: Booted, before: str) -> bool:
    try:
        return bool(ask(machine)["invocation_id"] != before)
    except ConnectionError:
        return False  # the killed agent had already accepted the request


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError:
        return None


class _Asking:
    """Sends requests all the time. Refusals count, but not requests that a killed agent had already accepted."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._stop: Final = threading.Event()
        self._refused: Final[list[str]] = []
        self._answered = 0
        self._thread: Final = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> tuple[list[str], int]:
        self._stop.set()
        self._thread.join(_PATIENCE_S)
        return self._refused, self._answered

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                get_status(self._path, _PATIENCE_S)
                self._answered += 1
            except (ConnectionResetError, BrokenPipeError):
                continue  # killed after it had accepted the connection, before or after the request was sent
            except OSError as error:
                if not isinstance(error.__cause__, http.client.RemoteDisconnected):
                    self._refused.append(repr(error))
