"""Everything that an agent shows to the outside, as bytes."""

import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Final

from agent.__main__ import main
from agent.cli.status import ANSWERED
from tests.rig.agent import Agent
from tests.rig.files import contents

_DEADLINE_S: Final = 120.0
_TARGETS: Final = (
    "/",
    "/card",
    "/v1/status",
    "/v1/timeline",
    "/v1/logs",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/nowhere",
)
_COMMANDS: Final = (("status",), ("status", "--json"), ("check-config",))


def said(agent: Agent) -> dict[str, bytes]:
    """Return, by outlet, the whole log, each HTTP answer with its headers, and the output of the commands."""
    outlets = answered(agent.socket)
    for command in _COMMANDS:
        done = agent.command(*command, *(("--socket", str(agent.socket)) if command[0] == "status" else ()))
        outlets[" ".join(command)] = (done.stdout + done.stderr).encode()
    # Read the log last, because the requests may have been logged.
    outlets["log"] = agent.log_file.read_bytes()
    return outlets


def answered(path: Path) -> dict[str, bytes]:
    """Return each HTTP answer with its headers, and the first event."""
    answers = {target: ask(path, target) for target in _TARGETS}
    return {**answers, "/v1/events": ask(path, "/v1/events", until=b"\n\n")}


def printed(path: Path) -> dict[str, bytes]:
    """Return what `registry-agent status` prints, as text and as JSON. It runs in this process, which is faster."""
    texts = {}
    for arguments in (["status"], ["status", "--json"]):
        with redirect_stdout(StringIO()) as out, redirect_stderr(out):
            assert main([*arguments, "--socket", str(path)]) == ANSWERED, out.getvalue()
        texts[" ".join(arguments)] = out.getvalue().encode()
    return texts


def ask(path: Path, target: str, *, until: bytes | None = None) -> bytes:
    """Return the whole answer, head and body. With `until`, stop when the body contains it."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_DEADLINE_S)
        connection.connect(str(path))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        while until is None or until not in answer.partition(b"\r\n\r\n")[2]:
            chunk = connection.recv(1 << 16)
            if not chunk:
                break
            answer += chunk
    return answer


def files(home: Path, without: Mapping[Path, str]) -> Iterator[tuple[Path, bytes]]:
    """Yield each file below `home` with its content, except in places where a secret may be (each with the reason)."""
    for path, content in contents(home):
        if not any(path.is_relative_to(place) for place in without):
            yield path, content


class Notifications:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self) -> None:
        # The path of a Unix socket has at most 107 bytes.
        self._directory: Final = tempfile.TemporaryDirectory()
        self.address: Final = f"{self._directory.name}/notify"
        self._socket: Final = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._heard: Final[list[bytes]] = []
        self._thread: Final = threading.Thread(target=self._listen, name="systemd", daemon=True)
        self._thread.start()

    @property
    def heard(self) -> bytes:
        return b"\n".join(self._heard)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()
        self._directory.cleanup()

    def _listen(self) -> None:
        while message := self._socket.recv(1 << 16):
            self._heard.append(message)
