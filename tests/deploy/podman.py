"""Debian's podman, which plays Kubernetes' files. It has its own storage, and uses a machine's network and mounts."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import yaml

from tests.deploy.manifests import Object
from tests.prepare.image import ARCHIVE
from tests.prepare.steps import BUSYBOX, IMAGE
from tests.rig.machine import Machine
from tests.rig.namespace import environment
from tests.rig.needs import prepared

_PLAY_S: Final = 300.0
_PAUSE: Final = "localhost/pause:1"
# The tests provide the pod's infra image, because podman's own needs a package that Debian only recommends.
# The limits are set here, because podman would raise those of the machine.
_SETTINGS: Final = f"""
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "{_PAUSE}"
"""


class Podman:
    """Runs podman. `close` ends everything that it started."""

    def __init__(self, machine: Machine, directory: Path) -> None:
        self._machine: Final = machine
        self._directory: Final = directory
        directory.mkdir()
        (directory / "containers.conf").write_text(_SETTINGS)

    def run(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        # These are below the machine's own /run, because podman refuses a long path.
        storage = [f"--root={self._directory / 'root'}", "--runroot=/run/podman/run", "--tmpdir=/run/podman/tmp"]
        env = environment(CONTAINERS_CONF=str(self._directory / "containers.conf"), HOME=str(self._directory))
        # podman looks up its working directory, which must be one of the namespace's own.
        podman = ("sh", "-c", 'cd / && exec podman "$@"', "podman", *storage, "--storage-driver=vfs")
        return self._machine.namespace.run(*podman, *args, env=env, timeout=_PLAY_S)

    def must(self, *args: str | Path) -> str:
        done = self.run(*args)
        assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
        return done.stdout

    def load_images(self, agent: str, workspace: str) -> None:
        """Load the real image as `agent`, and one that has only busybox as `workspace` and as the pod's infra image."""
        self.must("load", "--quiet", "--input", prepared(IMAGE) / ARCHIVE)
        self.must("tag", "localhost/registry-agent:latest", agent)
        archive = self._directory / "workspace.tar"
        subprocess.run(["tar", "-C", prepared(BUSYBOX), "-cf", archive, "bin/busybox"], check=True)
        start = ('--change=ENTRYPOINT ["/bin/busybox"]', '--change=CMD ["sleep", "infinity"]')
        self.must("import", "--quiet", *start, archive, _PAUSE)
        self.must("tag", _PAUSE, workspace)

    def play(self, objects: list[Object]) -> None:
        file = self._directory / "objects.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        self.must("kube", "play", "--network=host", file)

    def execute(self, container: str, *command: str) -> subprocess.CompletedProcess[str]:
        return self.run("exec", f"workspace-pod-0-{container}", *command)

    def close(self) -> None:
        self.must("pod", "rm", "--all", "--force", "--time=0")
        shutil.rmtree(self._directory)  # the storage contains several copies of each image
