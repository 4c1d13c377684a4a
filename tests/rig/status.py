"""Requests to the agent over its Unix socket, once or continuously."""

import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any, Final

from tests.rig.load import stalled_s
from tests.rig.waiting import PATIENCE_S

_EVERY_S: Final = 0.25
_HOLD_S: Final = 0.2
"""How long the agent delays an answer while nothing changes. It is short, because conditions may check other things."""
_LATE_S: Final = 4.0
"""No answer may take longer, apart from the time for which the agent or the watcher waits for a processor."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, deadline_s: float) -> None:
        super().__init__("localhost", timeout=deadline_s)
        self._path: Final = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get_status(path: Path, deadline_s: float = PATIENCE_S, *, query: str = "") -> dict[str, Any]:
    """Request the status document. `query` is appended to the path.

    Raises:
        OSError: no process listens, or there was no answer within `deadline_s`.
    """
    status, body = ask(path, "GET", f"/v1/status{query}", deadline_s)
    assert status == http.HTTPStatus.OK, (status, body)
    document: dict[str, Any] = json.loads(body)
    return document


def ask(
    path: Path, method: str, target: str, deadline_s: float = PATIENCE_S, *, body: object = None
) -> tuple[int, bytes]:
    """Send one request on a new connection, with `body` as JSON. Returns the status code and the body."""
    content = None if body is None else json.dumps(body)
    connection = _UnixConnection(path, deadline_s)
    try:
        connection.request(method, target, content, {} if content is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.RemoteDisconnected:  # a ConnectionResetError
        raise
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error
    finally:
        connection.close()


def next_status(path: Path, revision: int | None) -> dict[str, Any]:
    """The first document with another revision, or the same one after a moment."""
    query = "" if revision is None else f"?since={revision}&wait={_HOLD_S}"
    return get_status(path, query=query)


class Watcher:
    """Requests the status of process `pid` until `stop`, and records each request that fails or is answered late."""

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
            started, stalled_before = time.monotonic(), stalled_s(self._pid)
            try:
                self._request()
            except OSError as error:
                self._silences.append(repr(error))
                continue
            took = time.monotonic() - started
            if took > _LATE_S and took - (stalled_s(self._pid) - stalled_before) > _LATE_S:
                self._silences.append(f"an answer after {took:.1f} s")

    def _request(self) -> None:
        try:
            get_status(self._path)
        except ConnectionResetError:
            # In a crowd, the agent closes a connection that has sent nothing yet. On a busy machine, that may be ours.
            get_status(self._path)
