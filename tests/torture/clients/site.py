"""Runs the clients with the login that the agent keeps, without one, and with an agent that is slow or gone."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from tests.fakecloud.registries import PretendRegistry
from tests.prepare.step import KEPT
from tests.rig.agent import Agent
from tests.rig.engine import Engine
from tests.rig.helper import install_helper
from tests.rig.machine import Machine
from tests.rig.namespace import environment
from tests.rig.needs import prepared
from tests.rig.tree import Tree
from tests.torture.clients.clients import Client
from tests.torture.clients.logins import Login

_LONG_S: Final = 300.0
_LATE_S: Final = 3.0
_PATH: Final = f"{os.environ['PATH']}:/usr/sbin:/usr/bin:/sbin:/bin"
_VERSION: Final = re.compile(r"\d+\.\d+(\.\d+)?")


class Site:
    """One login, which an agent keeps in `store`. `nobody` is a home directory without a login."""

    def __init__(
        self, machine: Machine, engine: Engine, registry: PretendRegistry, login: Login, store: str, *, directory: Path
    ) -> None:
        self.login: Final = login
        self.registry: Final = registry
        self.store: Final = store
        self.home: Final = directory / "home"
        self.nobody: Final = directory / "nobody"
        self._machine: Final = machine
        self._engine: Final = engine
        self._scratch: Final = directory / "scratch"
        programs = self.home / "bin"
        for path in (self.nobody, self._scratch, programs):
            path.mkdir(parents=True)
        install_helper(programs, "/usr/bin/python3")
        search = {"PATH": f"{programs}:{_PATH}"}
        self.agent: Final = Agent(
            machine.namespace, self.home, {"docker": {"store": store}}, {**machine.trust, **search}
        )
        self._asking: Final = {**search, "REGISTRY_AGENT_SOCKET": str(self.agent.socket)}
        self.agent.give("team", login.hostname, **login.fields)

    def start(self) -> None:
        """Start the agent, and wait until it has stored the login."""
        place = {"file": "config.json", "helper": "memory"}[self.store]
        self.agent.start().wait_logged_in(self.login.hostname)
        self.agent.wait_for(place, lambda status: [row["stored_in"] for row in status["registries"]] == [place])

    @contextmanager
    def gone(self) -> Iterator[None]:
        """No agent runs in the block."""
        assert self.agent.end() == 0, self.agent.log()
        yield
        self.start()

    @contextmanager
    def slow(self) -> Iterator[None]:
        """The agent answers nothing for the first seconds of the block."""
        self.agent.watch_no_longer()
        self.agent.send(signal.SIGSTOP)
        later = threading.Timer(_LATE_S, self.agent.send, [signal.SIGCONT])
        later.start()
        yield
        later.join()

    def request(self, client: Client, home: Path) -> subprocess.CompletedProcess[str]:
        """Let `client` ask for the private image, which the engine does not have yet."""
        self._engine.docker("rmi", "--force", self.login.filled("{image}"), config=self.nobody)
        return self._run(client, client.command, home)

    def version(self, client: Client) -> str:
        done = self._run(client, client.version, self.nobody)
        found = _VERSION.search(done.stdout)
        assert found, f"{client.name} prints no version: {done.stdout}{done.stderr}"
        return found[0]

    def _run(self, client: Client, command: tuple[str, ...], home: Path) -> subprocess.CompletedProcess[str]:
        if client.module and find_spec(client.module) is None:
            pytest.skip(f"needs {client.module} (`make torture-venv`)")
        for step in client.after:
            prepared(step)
        args, stdin = [self.login.filled(arg) for arg in command], self.login.filled(client.stdin)
        env = {**client.env, **self._asking}
        if client.tree is None:
            env = environment(**{"HOME": str(home), **env})
            return self._machine.namespace.run(*args, env=env, stdin=stdin, timeout=_LONG_S)
        tree = Tree(self._machine.namespace, prepared(client.tree), self._scratch, KEPT)
        return tree.run(args, home, env, stdin, _LONG_S)
