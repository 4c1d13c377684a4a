"""A program that sends requests over TCP and the socket all the time. At SIGTERM it prints how long each answer took.

Arguments: the port, the socket, and the agent's process id. It is a separate process, so that the attackers' cost does
not count as the agent's. The time for which a busy machine gives the agent no processor does not count, either.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, Self

from tests.rig.load import stalled_s
from tests.rig.waiting import PATIENCE_S

_EVERY_S: Final = 0.05
_LEAST: Final = 10
_ASK: Final = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Heard:
    """The milliseconds of each answer, sorted, and what went wrong."""

    took_ms: list[float]
    silences: list[str]

    @property
    def p99_ms(self) -> float:
        return self.took_ms[len(self.took_ms) * 99 // 100]

    @property
    def longest_ms(self) -> float:
        return self.took_ms[-1]

    def __str__(self) -> str:
        return f"/livez asked {len(self.took_ms)} times, p99 {self.p99_ms:.0f} ms, longest {self.longest_ms:.0f} ms"


class Pulse:
    """Runs the program until `stop`."""

    def __init__(self, port: int, path: Path, pid: int) -> None:
        command = [sys.executable, "-m", __name__, str(port), str(path), str(pid)]
        self._process: Final = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "asking\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def stop(self) -> Heard:
        self._process.terminate()
        result = json.loads(self._process.communicate(timeout=2 * PATIENCE_S)[0])
        return Heard(sorted(result["took_ms"]), result["silences"])


def main(port: int, path: str, pid: int) -> None:
    ended = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    sys.stdout.write("asking\n")
    sys.stdout.flush()
    took_ms: list[float] = []
    silences: list[str] = []
    while not ended or len(took_ms) < _LEAST:
        for family, address in ((socket.AF_INET, ("127.0.0.1", port)), (socket.AF_UNIX, path)):
            began, stalled_before = time.monotonic(), stalled_s(pid)
            try:
                _ask_twice(family, address)
            except OSError as error:
                silences.append(f"{family.name}: {error!r} after {time.monotonic() - began:.1f} s")
            took = time.monotonic() - began - (stalled_s(pid) - stalled_before)
            took_ms.append(max(took, 0.0) * 1000)
        time.sleep(_EVERY_S)
    sys.stdout.write(json.dumps({"took_ms": took_ms, "silences": silences}))


def _ask_twice(family: socket.AddressFamily, address: tuple[str, int] | str) -> None:
    """Ask, and once more if dropped: a client that is too slow to send its request gives way to newer ones."""
    try:
        _ask(family, address)
    except ConnectionError:
        _ask(family, address)


def _ask(family: socket.AddressFamily, address: tuple[str, int] | str) -> None:
    """Open a connection, send one request, and read one answer."""
    with socket.socket(family) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(address)
        connection.sendall(_ASK)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(answer[:100])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
