"""Asking the agent over its Unix socket, once or all the time."""

import http.client
import json
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.rig.waiting import PATIENCE_S

_EVERY_S: Final = 0.25
_LATE_S: Final = 2.0
"""No answer takes longer, not counting the time for which a busy machine lets the agent or the watcher wait."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, deadline_s: float) -> None:
        super().__init__("localhost", timeout=deadline_s)
        self._path: Final = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get_status(path: Path, deadline_s: float = PATIENCE_S) -> dict[str, Any]:
    """The status document.

    Raises:
        OSError: nobody listens, or there was no answer within `deadline_s`.
    """
    connection = _UnixConnection(path, deadline_s)
    try:
        connection.request("GET", "/v1/status")
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error
    finally:
        connection.close()
    assert answer.status == http.HTTPStatus.OK, (answer.status, body)
    document: dict[str, Any] = json.loads(body)
    return document


class Watcher:
    """Asks process `pid` for its status until `stop`, and keeps each request that failed or was answered late."""

    def __init__(self, path: Path, pid: int) -> None:
        self._path: Final = path
        self._pid: Final = pid
        self._silences: Final[list[str]] = []
        self._stopped: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> list[str]:
        self._stopped.set()
        self._thread.join()
        return self._silences

    def _watch(self) -> None:
        while not self._stopped.wait(_EVERY_S):
            began, stalled_before = time.monotonic(), self._stalled_s()
            try:
                get_status(self._path)
            except OSError as error:
                self._silences.append(repr(error))
                continue
            took = time.monotonic() - began
            if took > _LATE_S and took - (self._stalled_s() - stalled_before) > _LATE_S:
                self._silences.append(f"an answer after {took:.1f} s")

    def _stalled_s(self) -> float:
        """How long the agent's threads and this one were ready to run, but had no processor."""
        files = [*Path(f"/proc/{self._pid}/task").glob("*/schedstat"), Path("/proc/thread-self/schedstat")]
        waited_ns = 0
        for file in files:
            with suppress(OSError):  # a thread that ended
                waited_ns += int(file.read_text().split()[1])
        return waited_ns / 1e9
