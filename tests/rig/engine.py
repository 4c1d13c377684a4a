"""A private, real Docker engine."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import pytest

from tests.rig.namespace import environment
from tests.rig.waiting import PATIENCE_S, until

_DRIVERS: Final = ("overlay2", "vfs")
_START_S: Final = 180.0


class Place(Protocol):
    """Where the programs of the rig run: a `Namespace`, or the machine itself."""

    def args(self, args: Sequence[str | Path]) -> list[str]: ...

    def run(
        self, *args: str | Path, env: Mapping[str, str], timeout: float = ...
    ) -> subprocess.CompletedProcess[str]: ...


class Engine:
    """dockerd and its containerd. They listen at the default address of the docker CLI inside the namespace.

    They run in their own process namespace, so all of their processes end with `close`. If /run does not belong to the
    namespace, pass another directory for their sockets as `run`. They speak plain HTTP to the registries in `insecure`.
    """

    def __init__(
        self, namespace: Place, directory: Path, run: Path = Path("/run"), *, insecure: Sequence[str] = ()
    ) -> None:
        self._namespace: Final = namespace
        self._insecure: Final = insecure
        self._directory: Final = directory
        self._run: Final = run
        self._log: Final = directory / "dockerd.log"
        directory.mkdir()
        for driver in _DRIVERS:
            self._process = self._start(driver)
            until("an end of dockerd's start", lambda: self._process.poll() is not None or self._answers(), _START_S)
            if self._process.poll() is None:
                return
        raise AssertionError(f"dockerd does not start:\n{self._log.read_text()[-4000:]}")

    def docker(
        self,
        *args: str | Path,
        config: Path,
        program: str = "docker",
        env: Mapping[str, str] | None = None,
        timeout: float = PATIENCE_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker CLI inside, with `config` as Docker's configuration directory."""
        own = {"DOCKER_CONFIG": str(config), "DOCKER_HOST": f"unix://{self._run}/docker.sock", **(env or {})}
        return self._namespace.run(program, *args, env=environment(**own), timeout=timeout)

    def must(
        self,
        *args: str | Path,
        config: Path,
        program: str = "docker",
        env: Mapping[str, str] | None = None,
        timeout: float = PATIENCE_S,
    ) -> str:
        """Like `docker`, but returns the output. Fails with all of it if the command fails."""
        done = self.docker(*args, config=config, program=program, env=env, timeout=timeout)
        assert done.returncode == 0, f"docker {args[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def builder(self, *, buildkit: bool) -> str:
        """A docker CLI that can build. Up to 20.10 it includes BuildKit; later ones need buildx."""
        for program in ("docker", "/usr/bin/docker"):
            if not buildkit or self._has_buildkit(program):
                return program
        pytest.skip("needs buildx (package docker-buildx)")

    def make_image(self, reference: str, program: Path | None = None) -> None:
        """Make an image with one small file, and the static `program` as `/program`, from scratch."""
        tree = self._directory / "image"
        tree.mkdir(exist_ok=True)
        (tree / "hello.txt").write_text("hello\n")
        if program is not None:
            shutil.copy(program, tree / "program")
        archive = shutil.make_archive(str(tree), "tar", tree)
        self.must("import", archive, reference, config=self._directory)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _start(self, driver: str) -> subprocess.Popen[bytes]:
        settings = self._directory / "daemon.json"
        settings.write_text(
            json.dumps(
                {
                    "storage-driver": driver,
                    "data-root": str(self._directory / driver),
                    "exec-root": str(self._run / "engine"),
                    "pidfile": str(self._run / "docker.pid"),
                    "iptables": False,
                    "bridge": "none",
                    "hosts": [f"unix://{self._run}/docker.sock"],
                    "insecure-registries": self._insecure,
                }
            )
        )
        isolated = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._namespace.args([*isolated, "dockerd", "--config-file", settings]),
                env=environment(HOME=str(self._directory)),
                stdout=log,
                stderr=log,
            )

    def _has_buildkit(self, program: str) -> bool:
        version = self.docker("--version", config=self._directory, program=program).stdout
        return " 20.10." in version or (
            self.docker("buildx", "version", config=self._directory, program=program).returncode == 0
        )

    def _answers(self) -> bool:
        return self.docker("version", config=self._directory).returncode == 0
