"""The client of a running agent, for the commands: HTTP over its Unix socket, with the standard library only."""

import http.client
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.edge.paths import is_user, user_name
from agent.model.commands import command
from agent.model.text import printable

_LARGEST: Final = 64 << 20
_REASONS: Final = {
    FileNotFoundError: "does not exist",
    ConnectionRefusedError: "nothing is listening",
    PermissionError: "permission denied (only its owner and the group registry-agent may connect)",
    TimeoutError: "no answer in time",
}
"""Why no agent can be reached, by the error of `connect`."""
_ACCESS_HINT: Final = "run this command as the user of that agent, or as root"


class AgentUnavailable(Exception):  # noqa: N818 - it states a fact, and `status --wait` does not treat it as an error
    """There is no answer from an agent. The text is the reason."""


class AgentNotRunning(AgentUnavailable):
    """No agent answers. The text lists the sockets that were tried, and how to start an agent."""


class AgentNotResponding(AgentUnavailable):
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

    All requests raise AgentNotRunning or AgentNotResponding after at most `timeout` seconds.

    `user` is the user whose agent is meant, for the hint. None means the current user.
    """

    def __init__(self, places: Sequence[Path], user: str | None = None) -> None:
        self._places: Final = places
        self._user: Final = user

    def post(self, target: str, value: object, timeout: float) -> Reply:
        return _reply(*self._exchange("POST", target, timeout, body=json.dumps(value)))

    def status(self, timeout: float, *, since: int | None = None, wait_s: float = 0.0) -> dict[str, Any]:
        """Return the status document. With `since`, wait up to `wait_s` seconds for another revision."""
        query = "" if since is None else f"?since={since}&wait={wait_s:.3f}"
        answer = _reply(*self._exchange("GET", f"/v1/status{query}", timeout))
        if answer.status != http.client.OK or not isinstance(answer.value, dict):
            raise AgentNotResponding(answer.fault)
        return answer.value

    def text(self, target: str, timeout: float) -> str:
        """Return a body that is not a JSON value, such as that of `/v1/logs` or `/metrics`."""
        status, body = self._exchange("GET", target, timeout)
        if status != http.client.OK:
            raise AgentNotResponding(f"the agent answered {status}")
        return body.decode(errors="replace")

    def _exchange(self, method: str, target: str, timeout: float, body: str | None = None) -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self._connect(timeout)
        try:
            connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read(_LARGEST)
        except TimeoutError as fault:
            raise AgentNotResponding(f"the agent did not answer within {timeout:.0f} s") from fault
        except (OSError, http.client.HTTPException, ValueError) as fault:
            reason = printable(str(fault)) or type(fault).__name__
            raise AgentNotResponding(f"the connection to the agent failed: {reason}") from fault
        finally:
            connection.close()

    def _connect(self, timeout: float) -> "_Socket":
        tried, denied = [], False
        for place in self._places:
            connection = _Socket(timeout)
            try:
                connection.connect(str(place))
            except OSError as fault:
                connection.close()
                denied = denied or isinstance(fault, PermissionError)
                tried.append(f"  {place}: {_reason(fault)}")
                continue
            return connection
        hint = _ACCESS_HINT if denied else self._start_hint()
        raise AgentNotRunning("\n".join(["no agent answers; looked at", *tried, hint]))

    def _start_hint(self) -> str:
        me = user_name()
        user = self._user or me
        if user != me and not is_user(user):
            return f"check the user name: this machine has no user {printable(user, 64)}"
        service = command("sudo systemctl start", f"registry-agent@{user}")
        ways = ["`registry-agent run`"] if user == me else []  # it would start an agent of another user
        return f"start it: {', or '.join([*ways, *([service] if service else [])])}"


class _Socket(socket.socket):
    """A Unix socket with one deadline for everything. A timeout alone would start again with every byte received."""

    def __init__(self, seconds: float) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.settimeout(max(seconds, 0.001))
        self._end: Final = time.monotonic() + seconds

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(buffer, nbytes, flags)


def _reply(status: int, body: bytes) -> Reply:
    try:
        return Reply(status, json.loads(body))
    except (ValueError, RecursionError) as fault:
        raise AgentNotResponding("its answer is not valid JSON") from fault


def _reason(fault: OSError) -> str:
    return _REASONS.get(type(fault)) or (fault.strerror or str(fault)).lower()
