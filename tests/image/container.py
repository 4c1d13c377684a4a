"""Containers on the machine's network, with a person's directories mounted."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.rig.engine import Engine
from tests.rig.image import IMAGE
from tests.rig.machine import Machine
from tests.rig.waiting import until

ANYBODY: Final = "12345:54321"
"""A user and a group that exist in no image."""


class Home:
    """The directories that a person mounts: secrets, and a Docker configuration that `ANYBODY` owns."""

    def __init__(self, directory: Path) -> None:
        self.secrets: Final = directory / "secrets"
        self.docker: Final = directory / ".docker"
        self.secrets.mkdir(parents=True)
        self.docker.mkdir()
        os.chown(self.docker, *map(int, ANYBODY.split(":")))

    def give(self, name: str, hostname: str, **fields: str) -> None:
        (self.secrets / f"{name}.json").write_text(json.dumps({"name": name, "hostname": hostname, **fields}))

    @property
    def mounts(self) -> tuple[str, ...]:
        return (
            f"--volume={self.secrets}:/run/secrets/registries:ro",
            f"--volume={self.docker}:/home/agent/.docker",
        )


class Container:
    """A container that runs in the background."""

    def __init__(self, engine: Engine, scratch: Path, name: str) -> None:
        self._engine: Final = engine
        self._scratch: Final = scratch
        self.name: Final = name

    def inspect(self) -> Any:
        return json.loads(self._engine.must("inspect", self.name, config=self._scratch))[0]

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self._engine.docker(
            "exec", self.name, "/opt/registry-agent/bin/registry-agent", *args, config=self._scratch
        )

    def status(self) -> Any:
        """Return the status document after the agent has tried every registry."""
        done = self.command("status", "--json", "--wait", "--timeout=20")
        assert done.returncode == 0, f"{done.stderr}{self.log()}"
        return json.loads(done.stdout)

    def log(self) -> str:
        done = self._engine.docker("logs", self.name, config=self._scratch)
        return done.stdout + done.stderr

    def wait_healthy(self) -> None:
        def healthy() -> bool:
            state = self.inspect()["State"]
            assert state["Running"], self.log()
            return bool(state["Health"]["Status"] == "healthy")

        until("a healthy container", healthy)

    def stop(self) -> int:
        """Run `docker stop`, which sends SIGTERM, and SIGKILL after ten seconds. Return the exit code."""
        self._engine.must("stop", self.name, config=self._scratch)
        return int(self.inspect()["State"]["ExitCode"])


class Containers:
    """Starts containers on one engine."""

    def __init__(self, engine: Engine, machine: Machine, scratch: Path) -> None:
        self._engine: Final = engine
        self._scratch: Final = scratch
        self._started: Final[list[str]] = []
        self.trust: Final = f"--volume={machine.authority.bundle}:/etc/ssl/certs/ca-certificates.crt:ro"
        """The option that mounts a company's authority where Debian, the image, and docker look for it."""

    def run(self, *args: str, image: str = IMAGE, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run `docker run --rm`, and wait for its end."""
        return self._engine.docker(
            *("run", "--rm", "--network=host", *options, image, *args), config=self._scratch, timeout=60
        )

    def start(self, *args: str, image: str = IMAGE, options: tuple[str, ...] = ()) -> Container:
        name = f"agent-{len(self._started)}"
        self._started.append(name)
        self._engine.must(
            *("run", "--detach", f"--name={name}", "--network=host", *options, image, *args), config=self._scratch
        )
        return Container(self._engine, self._scratch, name)

    def build(self, dockerfile: str) -> str:
        """Build an image from a Dockerfile that needs nothing from outside. Return its tag."""
        context = self._scratch / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(dockerfile)
        tag = f"copied-{len(list(self._scratch.iterdir()))}"
        self._engine.must("build", "--tag", tag, context, config=self._scratch, env={"DOCKER_BUILDKIT": "0"})
        return tag

    def remove(self) -> None:
        if self._started:
            self._engine.must("rm", "--force", *self._started, config=self._scratch)
