"""Runs the examples of docs/dashboard.md with Node.js, against a whole agent. Only ports and pauses are changed."""

import json
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.codes.here import Here
from tests.codes.world import World
from tests.rig.namespace import environment
from tests.rig.waiting import until
from tests.web_attacks.target import TOKEN

DOCUMENT: Final = (Path(__file__).parents[2] / "docs/dashboard.md").read_text()
_BLOCK: Final = re.compile(r"^## ([\w ]+)\n|^```js\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOW: Final = f"""
const token = {json.dumps(TOKEN)};
const show = (status) => console.log(JSON.stringify(status));
"""


def examples() -> dict[str, str]:
    """Return the JavaScript below each heading. The code before the first heading belongs to all of them."""
    found: dict[str, str] = {}
    heading = ""
    for match in _BLOCK.finditer(DOCUMENT):
        if match[1]:
            heading = match[1]
        else:
            found[heading] = match[2]
    return found


@pytest.fixture
def world() -> Iterator[World]:
    for program in ("docker", "node"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (package {'docker-cli' if program == 'docker' else 'nodejs'})")
    here = Here()
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        world = World(here, Path(directory) / "home")
        yield world
        world.close()
    here.close()


class Dashboard:
    """A JavaScript program, and each status that it showed. None means that it showed an agent that does not answer."""

    def __init__(self, file: Path, *parts: str) -> None:
        self._output: Final = file.with_suffix(".output")
        file.write_text("".join([_SHOW, *parts]))
        with self._output.open("wb") as output:
            self.process: Final = subprocess.Popen(
                ["node", file], env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    @property
    def shown(self) -> Sequence[Any]:
        *whole, _ = self._output.read_text().split("\n")
        assert self.process.poll() is None, "\n".join(whole)
        return [json.loads(line) for line in whole]

    def wait(self, what: str, registries: int) -> None:
        """Wait until the status that it showed last has this many registries logged in."""
        until(what, lambda: self.shown and _logged_in(self.shown[-1]) == registries)


def _logged_in(status: Any) -> int:
    return [row["state"] for row in status["registries"]].count("logged_in") if status else -1


@contextmanager
def dashboard(home: Path, *parts: str) -> Iterator[Dashboard]:
    made = Dashboard(home / "dashboard.mjs", *parts)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
    return port


@pytest.mark.parametrize("way", ["Poll", "Long poll", "Events"])
def test_a_dashboard_that_polls(world: World, way: str) -> None:
    """It shows the current status, each change once, an agent that does not answer, and the agent when it is back."""
    port = free_port()
    token = world.home / "token"
    token.write_text(TOKEN)
    settings = {"status": {"listen": f"127.0.0.1:{port}", "token_file": str(token)}}
    agent = world.start(settings)
    agent.wait_logged_in(world.good.hostname)
    prelude = examples()[""].replace("127.0.0.1:8719", f"127.0.0.1:{port}")
    hurried = re.sub(r"pause\((10|5)\)", "pause(0.2)", examples()[way])
    with dashboard(world.home, prelude, hurried) as program:
        program.wait("what is there", 1)
        door = world.registry("more")
        agent.wait_logged_in(door.hostname)
        program.wait("the change", 2)
        revisions = [status["revision"] for status in program.shown]
        assert revisions == sorted(set(revisions)), "the same was shown twice"
        agent.end()
        until("that nobody answers", lambda: program.shown[-1] is None)
        world.start(settings)
        program.wait("the return", 2)


def test_a_dashboard_that_receives_pushes(world: World) -> None:
    """The receiver accepts the agent's pushes, which have its token, and no others."""
    port = free_port()
    token = world.home / "token"
    token.write_text(TOKEN)
    with dashboard(world.home, examples()["Push"].replace("9000", str(port))) as program:
        report = {"url": f"http://127.0.0.1:{port}/", "token_file": str(token)}
        agent = world.start({"report": report})
        agent.wait_logged_in(world.good.hostname)
        program.wait("the login", 1)
        door = world.registry("more")
        agent.wait_logged_in(door.hostname)
        program.wait("the change", 2)
        assert not [warning for warning in agent.status()["warnings"] if warning["code"] == "report_failed"]
        shown = len(program.shown)
        assert _post(port) == "401"
        assert len(program.shown) == shown or all(status is not None for status in program.shown)


def _post(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnull")
        return stranger.recv(100).split()[1].decode()


def test_each_example_is_short() -> None:
    """A dashboard needs no library, and twenty lines at most."""
    assert examples().keys() == {"", "Poll", "Long poll", "Events", "Push"}
    assert all(len(code.splitlines()) <= 20 for code in examples().values())
