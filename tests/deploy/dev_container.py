"""Dev containers from the reference implementation, and plain containers for tests of the feature's parts."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.prepare.steps import DEV_CONTAINER_CLI
from tests.rig.engine import Engine
from tests.rig.namespace import Namespace, environment
from tests.rig.needs import prepared
from tests.rig.waiting import until

PARTS: Final = "/usr/local/share/registry-agent"
START: Final = f"{PARTS}/start.sh"
_UP_S: Final = 600.0
_PROCESSES: Final = r"""
for at in /proc/[0-9]*; do
    printf '%s %s\n' "${at#/proc/}" "$(tr '\0\n' '  ' <"$at/cmdline")"
done 2>/dev/null
"""


class Container:
    """A running container. `user` runs all commands in it, like the remote user of the dev container tools."""

    def __init__(self, engine: Engine, config: Path, name: str, user: str) -> None:
        self._engine: Final = engine
        self._config: Final = config
        self.name: Final = name
        self.user: Final = user

    def sh(self, script: str, *, user: str | None = None) -> subprocess.CompletedProcess[str]:
        return self._engine.docker(
            "exec", f"--user={user or self.user}", self.name, "sh", "-c", script, config=self._config
        )

    def must(self, script: str, *, user: str | None = None) -> str:
        """Return what `script` printed. If its exit code is not 0, fail with its output."""
        done = self.sh(script, user=user)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        """Wait until the first pass is over, and return the document that `registry-agent status` prints."""
        document: dict[str, Any] = json.loads(self.must("registry-agent status --json --wait --timeout 120"))
        return document

    def registry(self, hostname: str) -> dict[str, Any]:
        """Return the registry's row in the status."""
        row: dict[str, Any] = next(row for row in self.status()["registries"] if row["hostname"] == hostname)
        return row

    def agents(self) -> list[int]:
        return [pid for pid, line in self.processes().items() if "agent" in line and line.split()[-1] == "run"]

    def supervisors(self) -> list[int]:
        return [pid for pid, line in self.processes().items() if "supervise.sh" in line]

    def processes(self) -> dict[int, str]:
        """Return the command lines of all processes, except those of this query."""
        rows = (line.partition(" ") for line in self.must(_PROCESSES).splitlines())
        return {int(pid): line.strip() for pid, _, line in rows if line.strip() and "/proc/[0-9]*" not in line}

    def the_agent(self) -> int:
        """Wait until the agent runs, and return its process ID. Fails if there are several."""
        (agent,) = until("one agent", self.agents)
        return agent

    def log(self) -> str:
        return self.must("cat ~/.local/state/registry-agent/log* 2>/dev/null || true")


class DevContainers:
    """The devcontainer CLI from npm, in the rig's namespace."""

    def __init__(self, namespace: Namespace, engine: Engine, directory: Path) -> None:
        self._namespace: Final = namespace
        self._engine: Final = engine
        self._home: Final = directory
        self._program: Final = prepared(DEV_CONTAINER_CLI) / "node_modules/@devcontainers/cli/devcontainer.js"

    def run(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        command = ("node", self._program, *args)
        env = environment(HOME=str(self._home), DOCKER_CONFIG=str(self._home))
        return self._namespace.run(*command, env=env, timeout=_UP_S)

    def up(self, workspace: Path, *args: str | Path) -> Container:
        """Start a dev container, as an editor does when it opens the folder."""
        # The classic builder works without buildx, and without a network of the engine's own. Both are missing here.
        done = self.run("up", "--workspace-folder", workspace, "--buildkit", "never", *args)
        assert done.returncode == 0, done.stdout + done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        return Container(self._engine, self._home, said["containerId"], said["remoteUser"])


def make_workspace(directory: Path, feature: Path, properties: Mapping[str, Any], options: Mapping[str, str]) -> Path:
    """Create a project whose .devcontainer contains a copy of `feature`, as the README shows."""
    settings = directory / ".devcontainer"
    shutil.copytree(feature, settings / feature.name)
    # The containers share the rig's network, because the engine has no network of its own.
    document = {"runArgs": ["--network=host"], **properties, "features": {f"./{feature.name}": options}}
    (settings / "devcontainer.json").write_text(json.dumps(document))
    return directory


def bind(source: Path, target: str) -> str:
    return f"type=bind,source={source},target={target},readonly"


def docker_program() -> Path:
    """Return this machine's docker CLI. Containers mount it instead of the docker-outside-of-docker feature's CLI."""
    found = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else shutil.which("docker")
    assert found is not None
    return Path(found)
