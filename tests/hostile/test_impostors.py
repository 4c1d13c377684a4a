"""An administrator asks another user's agent, by `--user` or `--socket`. That agent may answer anything."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from agent.model.problems.registry import LoginRejected
from agent.model.status import RegistryStatus, State
from agent.services.board import Board
from tests.fakes import EPOCH, FakeLog, process
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
            visitor.shutdown(socket.SHUT_WR)
            while visitor.recv(65536):  # the body may follow the headers
                pass


def _http(value: object) -> bytes:
    body = json.dumps(value, ensure_ascii=False).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _document() -> Any:
    """Return a valid document, as a new object."""
    board = Board(process(), lambda: EPOCH, FakeLog())
    board.put_registry(RegistryStatus("ghcr.io", "team", "project", "basic", EPOCH, State.RETRYING))
    board.report("x", [LoginRejected("ghcr.io", "it said no")])
    return json.loads(json.dumps(board.snapshot.as_json(EPOCH, 0.0)))


def _changed(place: str, value: object) -> bytes:
    """Return a document with this value at `place`, such as `warnings/0/count`. None removes the field."""
    document = inner = _document()
    *path, last = place.split("/")
    for step in path:
        inner = inner[int(step) if step.isdigit() else step]
    if value is None:
        del inner[last]
    else:
        inner[int(last) if last.isdigit() else last] = value
    return _http(document)


ANSWERS: Final = {
    "no HTTP": f"{ESCAPES}\r\n\r\n".encode(),
    "refusal": _http({"error": {"message": ESCAPES}}).replace(b"200 OK", b"500 NO"),
    "document": _http({**_document(), "summary": ESCAPES, ESCAPES: ESCAPES}),
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


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("uptime_s", "long"),
        ("uptime_s", float("nan")),
        ("uptime_s", float("inf")),
        ("uptime_s", 1e300),
        ("revision", "1"),
        ("registries", {}),
        ("registries/0", "ghcr.io"),
        ("registries/0/hostname", None),
        ("registries/0/state", 5),
        ("warnings/0/first_seen", 5),
        ("warnings/0/count", "many"),
        ("clock/jumps", []),
        ("tools/docker", None),
        ("environment", None),
    ],
)
def test_a_document_of_another_form_is_reported(impostor: Path, tmp_path: Path, place: str, value: object) -> None:
    """The message names the field that is missing or wrong. The exit code is 1, as if no agent answered."""
    (tmp_path / "answer").write_bytes(_changed(place, value))
    for words in (("status",), ("status", "--wait", "--timeout", "1")):
        done = subprocess.run(
            [*AGENT, *words, "--socket", str(impostor)], check=False, capture_output=True, text=True, timeout=30
        )
        field = place.replace("/0", "[0]").replace("/", ".")
        fault = f"its answer is not valid: {field} is missing or of the wrong type"
        assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (
            1,
            "",
            f"registry-agent status: {fault}",
        )


@pytest.mark.parametrize("answer", [{}, {"attempt_ids": None}, {"attempt_ids": [{}]}, [], None])
def test_an_answer_to_renew_of_another_form_is_reported(impostor: Path, tmp_path: Path, answer: object) -> None:
    """The exit code is 1, as if no agent answered."""
    (tmp_path / "answer").write_bytes(_http(answer).replace(b"200 OK", b"202 OK"))
    done = subprocess.run(
        [*AGENT, "renew", "--socket", str(impostor)], check=False, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("registry-agent renew: its answer is not valid: ")
