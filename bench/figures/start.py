"""Time from the start of the process to the first status answer over TCP, compared with a bare aiohttp server."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import bare_server
from bench.bench import Bench, environment, free_port, scratch
from bench.figure import Figure

_REACH: Final = 1.15
_LOOK_S: Final = 0.0005
_PATIENCE_S: Final = 30.0
_REQUEST: Final = b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def measure(bench: Bench) -> list[Figure]:
    turns = bench.turns(lambda: _agent(bench), lambda: _bare(bench))
    return [Figure("start to the first answer over TCP", "bare aiohttp server", "s", _REACH, turns)]


def _agent(bench: Bench) -> float:
    port = free_port()
    flags = ["--set", f"status.listen=127.0.0.1:{port}", "--set", "secrets.directories=[]"]
    with scratch() as root:
        return _first_answer([str(bench.python), "-m", "agent", "run", *flags], port, environment(root))


def _bare(bench: Bench) -> float:
    port = free_port()
    with scratch() as root:
        return _first_answer([str(bench.python), str(Path(bare_server.__file__)), str(port)], port, environment(root))


def _first_answer(command: Sequence[str], port: int, env: Mapping[str, str]) -> float:
    """Return the seconds until the first bytes of an answer with status 200.

    Raises:
        RuntimeError: there was no such answer in time.
    """
    begun = time.perf_counter()
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=env, stdin=quiet, stdout=quiet, stderr=quiet, cwd=env["HOME"]) as process:
        try:
            while (taken := time.perf_counter() - begun) < _PATIENCE_S:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as asking:
                    asking.sendall(_REQUEST)
                    said = asking.recv(1 << 16)
                    taken = time.perf_counter() - begun
                    if said.startswith(b"HTTP/1.1 200 "):
                        return taken
                time.sleep(_LOOK_S)
        finally:
            process.kill()
    raise RuntimeError(f"no answer from {command} within {_PATIENCE_S:.0f} s")
