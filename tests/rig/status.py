"""Asking the agent over its Unix socket, and asking it all the time."""

import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any, Final

_DEADLINE_S: Final = 20.0
"""An agent that takes longer hangs. It is not what a busy machine is measured by."""
_EVERY_S: Final = 0.1
_HOLD_S: Final = 0.2
"""How long the agent holds an answer back while nothing changes. A condition may look at other things too."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, deadline_s: float) -> None:
        super().__init__("localhost", timeout=deadline_s)
        self._path: Final = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get_status(path: Path, deadline_s: float = _DEADLINE_S, *, query: str = "") -> dict[str, Any]:
    """The status document; `query` is put behind its path.

    Raises:
        OSError: nobody listens, or there was no answer within `deadline_s`.
    """
    connection = _UnixConnection(path, deadline_s)
    try:
        connection.request("GET", f"/v1/status{query}")
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error
    finally:
        connection.close()
    assert answer.status == http.HTTPStatus.OK, (answer.status, body)
    document: dict[str, Any] = json.loads(body)
    return document


def next_status(path: Path, revision: int | None) -> dict[str, Any]:
    """The first document that is not `revision`, or after a moment the same one again."""
    query = "" if revision is None else f"?since={revision}&wait={_HOLD_S}"
    return get_status(path, _DEADLINE_S + _HOLD_S, query=query)


class Watcher:
    """Asks for the status ten times a second until `stop`, and keeps what went wrong or took too long."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
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
            began = time.monotonic()
            try:
                get_status(self._path)
            except OSError as error:
                self._silences.append(repr(error))
            took = time.monotonic() - began
            if took > _DEADLINE_S:
                self._silences.append(f"an answer after {took:.1f} s")
