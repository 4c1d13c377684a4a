"""An agent that serves its status, for the figures that ask it: with as many registries as wanted."""

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

_PATIENCE_S: Final = 180.0
_LOOK_S: Final = 0.002
USER: Final = "team"
PASSWORD: Final = "made up for the bench"
_LOOPBACK: Final = IPv4Address("127.0.0.2")
Secret = Mapping[str, object]


class Agent:
    """One process. `begun` is the monotonic time just before it was started."""

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
        """Its end."""
        return (self.root / "agent.log").read_text()[-4000:]

    @property
    def secrets(self) -> Path:
        """The one file of its secrets."""
        return self.root / "secrets" / "all.json"

    def give(self, secrets: Iterable[Secret]) -> None:
        """Whole or not at all, as whoever provides secrets does."""
        write_whole(self.secrets, json.dumps({"secrets": [*secrets]}))

    def get(self, path: str) -> bytes:
        """The body of one answer, on a connection of its own."""
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(asking):
            asking.request("GET", path)
            return asking.getresponse().read()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.get("/v1/status"))
        return status

    def first_answer(self, patience_s: float = _PATIENCE_S) -> None:
        """Wait until there is one.

        Raises:
            RuntimeError: there is none.
        """
        while time.monotonic() - self.begun < patience_s and self.running:
            with contextlib.suppress(OSError):
                self.get("/v1/status")
                return
            time.sleep(_LOOK_S)
        raise RuntimeError("no answer came")

    def wait_for(self, holds: Callable[[dict[str, Any]], object], patience_s: float = _PATIENCE_S) -> dict[str, Any]:
        """The first status that `holds`, asked for by long polls: a look costs the agent one document a change.

        Raises:
            RuntimeError: the agent ended, or there was none in time.
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
        """So far, of the threads that live; children left out (the kernel's sched-stats, in nanoseconds)."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory_kb(self) -> int:
        """Resident, and of it only what is the process's own."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


@contextmanager
def agent(
    bench: Bench, secrets: Sequence[Secret], *, program: Sequence[str] = ("-m", "agent"), **more: str
) -> Iterator[Agent]:
    """Started with these secrets in one file; ended at the end.

    `program`: what the interpreter gets before `run`. `more`: of its environment.
    """
    with stage() as own:
        write_whole(own.root / "secrets" / "all.json", json.dumps({"secrets": [*secrets]}))
        begun = time.monotonic()
        with running_agent(bench, own, more, program=program) as process:
            yield Agent(process, own.root, own.port, begun)


@contextmanager
def bare(bench: Bench, *options: str, **more: str) -> Iterator[Agent]:
    """The bare server, answering. `options` and `more` of its environment: as `bench/bare_server.py` has them.

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
    """Whether the first pass over all registries is over."""
    return bool(status["phase"] == "running")


def disabled(number: int) -> list[Secret]:
    """Secrets that are known and left alone: what they cost is the agent's own."""
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
    """Secrets of so many registries on this machine that take a login, one for each address on loopback."""
    server = ThreadingHTTPServer(("0.0.0.0", 0), _Registry)  # noqa: S104 - all of 127.0.0.0/8 is this machine's own
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
    """`/v2/` with Basic authentication, as ECR and registries with htpasswd have it."""

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
        """Nobody reads it."""


def write_whole(path: Path, text: str) -> None:
    unfinished = path.parent.parent / f"{path.name}.unfinished"
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
