"""A running agent, asked by a command: HTTP over its Unix socket, with the standard library alone."""

import contextlib
import http.client
import json
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.edge.paths import user_name
from agent.model.commands import command
from agent.model.text import printable

_LARGEST: Final = 64 << 20
_PEER: Final = struct.Struct("3i")
"""Process, user and group of the other end (unix(7), SO_PEERCRED)."""


class AgentNotRunning(Exception):  # noqa: N818 - what it says is a fact, and for `status --wait` none to end with
    """Nobody answers; the text names the places that were looked at, and what to do."""


class AgentNotResponding(Exception):  # noqa: N818 - as above
    """An agent is there, and gives no answer, or one that makes no sense."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    value: Any
    """The body's JSON."""

    @property
    def fault(self) -> str:
        """The agent's own word for what is wrong."""
        try:
            return printable(str(self.value["error"]["message"]), 600)
        except (KeyError, TypeError):
            return f"the agent answered {self.status}"


class AgentClient:
    """Asks the first of `places` where somebody listens; `user` is whose agent is meant, None: this user's."""

    def __init__(self, places: Sequence[Path], user: str | None = None) -> None:
        self._places: Final = places
        self._user: Final = user

    def get(self, target: str, timeout: float) -> Reply:
        return self._ask("GET", target, None, timeout)

    def post(self, target: str, value: object, timeout: float) -> Reply:
        return self._ask("POST", target, json.dumps(value), timeout)

    def status(self, timeout: float, *, since: int | None = None, wait_s: float = 0.0) -> dict[str, Any]:
        """The status document; with `since` the first other than that revision, or this one after `wait_s` seconds.

        Raises:
            NoAgent, NoAnswer: after `timeout` seconds at the latest, which `wait_s` counts towards.
        """
        query = "" if since is None else f"?since={since}&wait={wait_s:.3f}"
        answer = self.get(f"/v1/status{query}", timeout)
        if answer.status != http.client.OK or not isinstance(answer.value, dict):
            raise AgentNotResponding(answer.fault)
        return answer.value

    def text(self, target: str, timeout: float, limit: int = _LARGEST) -> str:
        """A body that is not one JSON value, such as that of `/v1/logs` or `/metrics`, up to `limit` bytes.

        Raises:
            NoAgent, NoAnswer.
        """
        status, body = self._exchange("GET", target, None, timeout, limit)
        if status != http.client.OK:
            raise AgentNotResponding(f"the agent answered {status}")
        return body.decode(errors="replace")

    def process(self, timeout: float = 2.0) -> int | None:
        """The number of the process that listens; None where nobody does, or systemd does in the agent's place."""
        try:
            connection = self._connect(timeout)
        except AgentNotRunning:
            return None
        number: int = _PEER.unpack(connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[0]
        connection.close()
        return number if number > 1 else None

    def _ask(self, method: str, target: str, body: str | None, timeout: float) -> Reply:
        status, answer = self._exchange(method, target, body, timeout)
        try:
            return Reply(status, json.loads(answer))
        except (ValueError, RecursionError) as fault:
            raise AgentNotResponding("its answer is not the JSON that an agent gives") from fault

    def _exchange(
        self, method: str, target: str, body: str | None, timeout: float, limit: int = _LARGEST
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        connection = self._connect(timeout)
        deadline = _Deadline(connection.sock, timeout)
        late = f"the agent gives no answer within {timeout:.0f} s"
        try:
            connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            answer = response.status, response.read(limit)
        except TimeoutError as fault:
            raise AgentNotResponding(late) from fault
        except (OSError, http.client.HTTPException, ValueError) as fault:
            words = f"the agent broke off: {printable(str(fault)) or type(fault).__name__}"
            raise AgentNotResponding(late if deadline.passed else words) from fault
        finally:
            deadline.cancel()
            connection.close()
        if deadline.passed:
            raise AgentNotResponding(late)
        return answer

    def _connect(self, timeout: float) -> "_UnixConnection":
        looked = []
        for place in self._places:
            connection = _UnixConnection(place, timeout)
            try:
                connection.connect()
            except OSError as fault:
                connection.close()
                looked.append(f"  {place}: {_reason(fault)}")
                continue
            return connection
        raise AgentNotRunning("\n".join(["no agent answers; looked at", *looked, self._start()]))

    def _start(self) -> str:
        service = command("sudo systemctl start", f"registry-agent@{self._user or user_name()}")
        return "start it: `registry-agent run`" + (f", or {service}" if service else "")


class _Deadline(threading.Timer):
    """Ends the connection at the time; a socket's own timeout begins anew with each byte of an endless answer."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        super().__init__(max(seconds, 0.001), self._end)
        self.passed = False
        self._connection: Final = connection
        self.daemon = True
        self.start()

    def _end(self) -> None:
        self.passed = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=max(timeout, 0.001))
        self._path: Final = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _reason(fault: OSError) -> str:
    match fault:
        case FileNotFoundError():
            return "not there"
        case ConnectionRefusedError():
            return "nobody listens"
        case PermissionError():
            return "not for this user (it is for its owner and the group registry-agent)"
        case TimeoutError():
            return "no answer in time"
    return (fault.strerror or str(fault)).lower()
