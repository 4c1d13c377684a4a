"""A running agent, asked by a command: HTTP over its Unix socket, with the standard library alone."""

import http.client
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_START: Final = "start it: `registry-agent run`, or `sudo systemctl start registry-agent@USER`"


class NoAgent(Exception):  # noqa: N818 - what it says is a fact, and for `status --wait` none to end with
    """Nobody answers; the text names the places that were looked at, and what to do."""


class NoAnswer(Exception):  # noqa: N818 - as above
    """An agent is there, and gives no answer, or one that makes no sense."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    value: Any
    """The body's JSON."""

    @property
    def fault(self) -> str:
        """The agent's own word for what is wrong."""
        try:
            return str(self.value["error"]["message"])
        except (KeyError, TypeError):
            return f"the agent answered {self.status}"


class AgentSocket:
    """Asks the first of `places` where somebody listens."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places: Final = places

    def get(self, target: str, timeout: float) -> Answer:
        return self._ask("GET", target, None, timeout)

    def post(self, target: str, value: object, timeout: float) -> Answer:
        return self._ask("POST", target, json.dumps(value), timeout)

    def status(self, timeout: float, *, since: int | None = None, wait_s: float = 0.0) -> dict[str, Any]:
        """The status document; with `since` the first other than that revision, or this one after `wait_s` seconds.

        Raises:
            NoAgent, NoAnswer: after `timeout` seconds at the latest, which `wait_s` counts towards.
        """
        query = "" if since is None else f"?since={since}&wait={wait_s:.3f}"
        answer = self.get(f"/v1/status{query}", timeout)
        if answer.status != http.client.OK or not isinstance(answer.value, dict):
            raise NoAnswer(answer.fault)
        return answer.value

    def _ask(self, method: str, target: str, body: str | None, timeout: float) -> Answer:
        connection = self._connect(timeout)
        try:
            connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        except TimeoutError as fault:
            raise NoAnswer(f"the agent gives no answer within {timeout:.0f} s") from fault
        except (OSError, http.client.HTTPException, ValueError) as fault:
            raise NoAnswer(f"the agent broke off: {str(fault) or type(fault).__name__}") from fault
        finally:
            connection.close()

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
        raise NoAgent("\n".join(["no agent answers; looked at", *looked, _START]))


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
