"""The client of a running agent, for the commands: HTTP over its Unix socket, with the standard library only."""

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


class AgentNotRunning(Exception):  # noqa: N818 - it states a fact, and `status --wait` does not treat it as an error
    """No agent answers. The text lists the sockets that were tried, and how to start an agent."""


class AgentNotResponding(Exception):  # noqa: N818 - as above
    """An agent is running, but it does not answer, or its answer is not valid."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the agent. `value` is the JSON of its body."""

    status: int
    value: Any

    @property
    def fault(self) -> str:
        """The error message that the agent sent."""
        try:
            return printable(str(self.value["error"]["message"]), 600)
        except (KeyError, TypeError):
            return f"the agent answered {self.status}"


class AgentClient:
    """Talks to the first socket in `places` that accepts a connection.

    `user` is the user whose agent is meant, for the hint. None means the current user.
    """

    def __init__(self, places: Sequence[Path], user: str | None = None) -> None:
        self._places: Final = places
        self._user: Final = user

    def get(self, target: str, timeout: float) -> Reply:
        return self._ask("GET", target, None, timeout)

    def post(self, target: str, value: object, timeout: float) -> Reply:
        return self._ask("POST", target, json.dumps(value), timeout)

    def status(self, timeout: float, *, since: int | None = None, wait_s: float = 0.0) -> dict[str, Any]:
        """Return the status document. With `since`, wait up to `wait_s` seconds for another revision.

        Raises:
            AgentNotRunning, AgentNotResponding: after at most `timeout` seconds, which include `wait_s`.
        """
        query = "" if since is None else f"?since={since}&wait={wait_s:.3f}"
        answer = self.get(f"/v1/status{query}", timeout)
        if answer.status != http.client.OK or not isinstance(answer.value, dict):
            raise AgentNotResponding(answer.fault)
        return answer.value

    def text(self, target: str, timeout: float, limit: int = _LARGEST) -> str:
        """Return up to `limit` bytes of a body that is not a JSON value, such as that of `/v1/logs` or `/metrics`.

        Raises:
            AgentNotRunning, AgentNotResponding.
        """
        status, body = self._exchange("GET", target, None, timeout, limit)
        if status != http.client.OK:
            raise AgentNotResponding(f"the agent answered {status}")
        return body.decode(errors="replace")

    def process(self, timeout: float = 2.0) -> int | None:
        """Return the id of the process that listens, or None if none does, or if systemd listens for the agent."""
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
            raise AgentNotResponding("its answer is not valid JSON") from fault

    def _exchange(
        self, method: str, target: str, body: str | None, timeout: float, limit: int = _LARGEST
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        connection = self._connect(timeout)
        deadline = _Deadline(connection.sock, timeout)
        late = f"the agent did not answer within {timeout:.0f} s"
        try:
            connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            answer = response.status, response.read(limit)
        except TimeoutError as fault:
            raise AgentNotResponding(late) from fault
        except (OSError, http.client.HTTPException, ValueError) as fault:
            broken = f"the connection to the agent failed: {printable(str(fault)) or type(fault).__name__}"
            # The deadline shuts the socket down, and that looks like a failed connection too.
            raise AgentNotResponding(late if deadline.passed else broken) from fault
        finally:
            deadline.cancel()
            connection.close()
        if deadline.passed:
            raise AgentNotResponding(late)
        return answer

    def _connect(self, timeout: float) -> "_UnixConnection":
        tried = []
        for place in self._places:
            connection = _UnixConnection(place, timeout)
            try:
                connection.connect()
            except OSError as fault:
                connection.close()
                tried.append(f"  {place}: {_reason(fault)}")
                continue
            return connection
        raise AgentNotRunning("\n".join(["no agent answers; looked at", *tried, self._start_hint()]))

    def _start_hint(self) -> str:
        service = command("sudo systemctl start", f"registry-agent@{self._user or user_name()}")
        return "start it: `registry-agent run`" + (f", or {service}" if service else "")


class _Deadline(threading.Timer):
    """Shuts the connection down at the deadline. The timeout of a socket would start again with every byte received."""

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
    """An HTTP connection over a Unix socket."""

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
            return "does not exist"
        case ConnectionRefusedError():
            return "nothing is listening"
        case PermissionError():
            return "permission denied (only its owner and the group registry-agent may connect)"
        case TimeoutError():
            return "no answer in time"
    return (fault.strerror or str(fault)).lower()
