"""An administrator asks another user's agent, by `--user` or `--socket`. That agent may answer anything."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.hostile.screens import ATTACK, RAW

ESCAPES: Final = ATTACK.replace("\0", "").replace("/", "")
AGENT: Final = [sys.executable, "-m", "agent"]


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Path]:
    """Yield the socket of an impostor. It answers with the content of the file `answer`."""
    path = tmp_path / "agent.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_impersonate, args=(listener, tmp_path / "answer"), daemon=True).start()
        yield path


def _impersonate(listener: socket.socket, answer: Path) -> None:
    while True:
        try:
            visitor, _ = listener.accept()
        except OSError:
            return
        with visitor:
            visitor.recv(65536)
            visitor.sendall(answer.read_bytes())


def _http(value: object) -> bytes:
    body = json.dumps(value, ensure_ascii=False).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


ANSWERS: Final = {
    "no HTTP": f"{ESCAPES}\r\n\r\n".encode(),
    "refusal": _http({"error": {"message": ESCAPES}}).replace(b"200 OK", b"500 NO"),
    "document": _http({"condition": "healthy", "registries": [], "summary": ESCAPES, ESCAPES: ESCAPES, "revision": 1}),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("command", [("status",), ("status", "--json"), ("renew",)])
def test_another_users_agent_writes_to_no_terminal(
    impostor: Path, tmp_path: Path, command: tuple[str, ...], answer: str
) -> None:
    """No answer moves a cursor. JSON stays the same document."""
    (tmp_path / "answer").write_bytes(ANSWERS[answer])
    done = subprocess.run(
        [*AGENT, *command, "--socket", str(impostor)], check=False, capture_output=True, text=True, timeout=30
    )
    assert RAW.search(done.stdout + done.stderr) is None, done
    if (answer, command) == ("document", ("status", "--json")):
        assert json.loads(done.stdout)[ESCAPES] == ESCAPES
