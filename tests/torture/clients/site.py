"""Runs the clients, with the login that the agent left behind and without one."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from tests.fakecloud.registries import PretendRegistry
from tests.prepare.step import KEPT
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.namespace import environment
from tests.rig.needs import prepared
from tests.rig.tree import Tree
from tests.torture.clients.clients import Client
from tests.torture.clients.logins import Login

_LONG_S: Final = 300.0
_VERSION: Final = re.compile(r"\d+\.\d+(\.\d+)?")


class Site:
    """One login. `home` is the home directory of the agent that keeps it, `nobody` one without a login."""

    def __init__(
        self, machine: Machine, engine: Engine, registry: PretendRegistry, login: Login, directory: Path
    ) -> None:
        self.login: Final = login
        self.registry: Final = registry
        self.home: Final = directory / "home"
        self.nobody: Final = directory / "nobody"
        self._machine: Final = machine
        self._engine: Final = engine
        self._scratch: Final = directory / "scratch"
        self.nobody.mkdir()
        self._scratch.mkdir()

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
        if client.tree is None:
            env = environment(HOME=str(home), **client.env)
            return self._machine.namespace.run(*args, env=env, stdin=stdin, timeout=_LONG_S)
        tree = Tree(self._machine.namespace, prepared(client.tree), self._scratch, KEPT)
        return tree.run(args, home, client.env, stdin, _LONG_S)
