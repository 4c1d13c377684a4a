"""An agent that serves its status, with any number of registries, for the figures that request it."""

import base64
import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread
from typing import Any, Final

from bench import bare_server
from bench.bench import Bench, environment, free_port, scratch
from bench.stage import ending, running_agent, stage
from tests.rig.files import of_threads

_PATIENCE_S: Final = 180.0
_LOOK_S: Final = 0.002
USER: Final = "team"
PASSWORD: Final = "made up for the bench"
_LOOPBACK: Final = IPv4Address("127.0.0.2")
Secret = Mapping[str, object]


class Agent:
    """One process. `begun` is the monotonic time just before its start."""

    def __init__(self, process: subprocess.Popen[bytes], root: Path, port: int, begun: float) -> None:
        self._process: Final = process
        self.root: Final = root
        self.port: Final = port
        self.begun: Final = begun

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        """Return the end of the agent's log."""
        return (self.root / "agent.log").read_text()[-4000:]

    @property
    def secrets(self) -> Path:
        """The file with all its secrets."""
        return self.root / "secrets" / "all.json"

    def give(self, secrets: Iterable[Secret]) -> None:
        """Replace the file of secrets atomically, as a platform does."""
        write_whole(self.secrets, json.dumps({"secrets": [*secrets]}))

    def get(self, path: str) -> bytes:
        """Return the body of one answer, over a new connection."""
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(asking):
            asking.request("GET", path)
            return asking.getresponse().read()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.get("/v1/status"))
        return status

    def first_answer(self, patience_s: float = _PATIENCE_S) -> None:
        """Wait until the process answers.

        Raises:
            RuntimeError: no answer in time, or the process ended.
        """
        while time.monotonic() - self.begun < patience_s and self.running:
            with contextlib.suppress(OSError):
                self.get("/v1/status")
                return
            time.sleep(_LOOK_S)
        raise RuntimeError("no answer came")

    def wait_for(self, holds: Callable[[dict[str, Any]], object], patience_s: float = _PATIENCE_S) -> dict[str, Any]:
        """Return the first status for which `holds` is true. With long polls, the agent makes one document per change.

        Raises:
            RuntimeError: the agent ended, or there was no such status in time.
        """
        begun, revision = time.monotonic(), ""
        while time.monotonic() - begun < patience_s and self.running:
            try:
                status: dict[str, Any] = json.loads(self.get(f"/v1/status{revision}"))
            except OSError:
                time.sleep(_LOOK_S)
                continue
            if holds(status):
                return status
            revision = f"?since={status['revision']}&wait=5"
        raise RuntimeError(f"the agent did not come so far:\n{self.log()}")

    def processor_s(self) -> float:
        """Return the seconds so far of all live threads, without children (the kernel's schedstat has nanoseconds)."""
        return sum(int(line.split()[0]) for _, line in of_threads(self.pid, "schedstat")) / 1e9

    def memory_kb(self) -> int:
        """Return the resident memory that only this process uses, without shared pages."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


@contextmanager
def agent(
    bench: Bench, secrets: Sequence[Secret], *, program: Sequence[str] = ("-m", "agent"), **more: str
) -> Iterator[Agent]:
    """Run an agent with these secrets in one file, and stop it at the end.

    `program` is what the interpreter gets before `run`. `more` is added to its environment.
    """
    with stage() as own:
        write_whole(own.root / "secrets" / "all.json", json.dumps({"secrets": [*secrets]}))
        begun = time.monotonic()
        with running_agent(bench, own, more, program=program) as process:
            yield Agent(process, own.root, own.port, begun)


@contextmanager
def bare(bench: Bench, *options: str, **more: str) -> Iterator[Agent]:
    """Run the bare server, and yield it once it answers.

    `options` are arguments and `more` are environment variables of `bench/bare_server.py`.

    Raises:
        RuntimeError: it does not answer.
    """
    with scratch() as root:
        port, begun = free_port(), time.monotonic()
        command = [str(bench.python), str(Path(bare_server.__file__)), str(port), *options]
        process = subprocess.Popen(command, env=environment(root, **more), cwd=root)
        server = Agent(process, root, port, begun)
        with ending(process):
            server.first_answer()
            yield server


def settled(status: Mapping[str, Any]) -> bool:
    """Return whether the first pass over all registries is over."""
    return bool(status["phase"] == "running")


def disabled(number: int) -> list[Secret]:
    """Return disabled secrets. The agent reads them but does not log in, so only its own cost remains."""
    return [
        {
            "name": f"team-{index:04}",
            "hostname": f"registry-{index:04}.example.com",
            "username": USER,
            "password": f"{PASSWORD} {index:04}",
            "enabled": False,
        }
        for index in range(number)
    ]


@contextmanager
def registries(number: int) -> Iterator[list[Secret]]:
    """Yield secrets for `number` registries on this machine. Each has its own loopback address and accepts a login."""
    server = ThreadingHTTPServer(("0.0.0.0", 0), _Registry)  # noqa: S104 - all of 127.0.0.0/8 belongs to this machine
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield [
            {
                "name": f"team-{index}",
                "hostname": f"{_LOOPBACK + index}:{server.server_port}",
                "username": USER,
                "password": PASSWORD,
            }
            for index in range(number)
        ]
    finally:
        server.shutdown()
        server.server_close()


class _Registry(BaseHTTPRequestHandler):
    """`/v2/` with Basic authentication, as in ECR and in registries with htpasswd."""

    def do_GET(self) -> None:
        right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        allowed = self.headers.get("Authorization") == f"Basic {right}"
        self.send_response(200 if allowed else 401)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if not allowed:
            self.send_header("WWW-Authenticate", 'Basic realm="bench"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def write_whole(path: Path, text: str) -> None:
    unfinished = path.parent.parent / f"{path.name}.unfinished"
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
