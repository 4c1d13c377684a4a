"""A pod without a cluster: its containers as processes, with the mounts, owners and rights that a kubelet sets.

Real: the agent, the docker CLI, user and group IDs, dropped capabilities, read-only roots, volumes in memory, and the
links with which a kubelet switches secrets. Not real: the image (the machine's own files replace it), cgroups and
seccomp.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.deploy.manifests import PROJECT, container, environment_of
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.machine import Machine
from tests.rig.waiting import until

Object = dict[str, Any]
Contents = dict[str, str]

BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
# The image's environment, with what the container runtime adds for a user without a name.
_IMAGE: Final = {
    "PATH": f"{REGISTRY_AGENT.parent}:/usr/local/bin:/usr/bin:/bin",
    "HOME": "/",
    "SSL_CERT_FILE": BUNDLE,
    "AWS_CA_BUNDLE": BUNDLE,
}
_PROGRAMS: Final = (PROJECT, Path(sys.prefix), Path(sys.base_prefix))
_VOLUMES: Final = Path("/mnt")


class Pod:
    """`given` is what the cluster has: ("secret" or "configMap", name) or ("token", audience), each with its files."""

    def __init__(self, machine: Machine, spec: Object, given: Mapping[tuple[str, str], Contents], log: Path) -> None:
        self._namespace: Final = machine.namespace
        self._spec: Final = spec
        self._given: Final = dict(given)
        self._log: Final = log
        context = spec["securityContext"]
        self.user: Final = int(context["runAsUser"])
        self._group: Final = int(context["runAsGroup"])
        self._volume_group: Final = int(context["fsGroup"])
        self._root: Final = self._namespace.root
        self._versions = 0
        # Each pod gets its own tmpfs. It hides the previous pod's, and the machine's own directory does not change.
        mounted = self._namespace.run("mount", "-t", "tmpfs", "tmpfs", str(_VOLUMES), env=os.environ)
        assert mounted.returncode == 0, mounted.stderr
        for volume in spec["volumes"]:
            self._make(volume)

    def give(self, kind: str, name: str, contents: Contents) -> None:
        """Change a secret or a config map, and update the volumes like the kubelet."""
        self._given[kind, name] = contents
        for volume in self._spec["volumes"]:
            if "emptyDir" not in volume:
                self._publish(volume)

    @contextmanager
    def running(self, name: str = "registry-agent") -> Iterator[subprocess.Popen[bytes]]:
        """Run the container's own program, and end it with SIGKILL after the block."""
        item = container(self._spec, name)
        command = [*item.get("command", ["registry-agent"]), *item.get("args", ["run"])]
        with self._log.open("ab") as log:
            process = subprocess.Popen(self._inside(name, command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def execute(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container, like `kubectl exec`."""
        return subprocess.run(self._inside(name, command), capture_output=True, text=True, timeout=300, check=False)

    def status(self) -> Object:
        done = self.execute("registry-agent", "registry-agent", "status", "--json", "--wait", "--timeout", "120")
        assert done.returncode == 0, f"{done.stderr}\n{self.log()}"
        document: Object = json.loads(done.stdout)
        return document

    def wait_logged_in(self, *hostnames: str) -> None:
        def logged_in() -> bool:
            rows = self.status()["registries"]
            return {row["hostname"] for row in rows if row["state"] == "logged_in"} >= set(hostnames)

        try:
            until(f"the login to {', '.join(hostnames)}", logged_in)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def log(self) -> str:
        return self._log.read_text()[-4000:]

    def _place(self, volume: Object) -> Path:
        return self._root / _VOLUMES.relative_to("/") / str(volume["name"])

    def _make(self, volume: Object) -> None:
        place = self._place(volume)
        place.mkdir()
        os.chown(place, 0, self._volume_group)
        place.chmod(0o2777)
        if "emptyDir" not in volume:
            self._publish(volume)

    def _publish(self, volume: Object) -> None:
        """Write the files next to the old ones, then switch the link, like a kubelet."""
        place, mode, files = self._place(volume), *self._files(volume)
        self._versions += 1
        version = place / f"..version_{self._versions}"
        version.mkdir()
        for name, content in files.items():
            path = version / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
            os.chown(path, 0, self._volume_group)
            path.chmod(mode)
        link = place / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(place / "..data")
        for top in {Path(name).parts[0] for name in files}:
            if not (place / top).is_symlink():
                (place / top).symlink_to(Path("..data", top))

    def _files(self, volume: Object) -> tuple[int, Contents]:
        files: Contents = {}
        if "secret" in volume:
            secret = volume["secret"]
            return secret["defaultMode"], self._source("secret", {**secret, "name": secret["secretName"]})
        for source in volume["projected"]["sources"]:
            for kind, what in source.items():
                files |= self._token(what) if kind == "serviceAccountToken" else self._source(kind, what)
        return volume["projected"]["defaultMode"], files

    def _source(self, kind: str, what: Object) -> Contents:
        contents = self._given.get((kind, what["name"]))
        if contents is None:
            assert what.get("optional"), f"the pod would not start without {kind} {what['name']}"
            return {}
        if "items" not in what:
            return contents
        return {item["path"]: contents[item["key"]] for item in what["items"] if item["key"] in contents}

    def _token(self, what: Object) -> Contents:
        return {what["path"]: self._given["token", what["audience"]]["token"]}

    def _inside(self, name: str, command: list[str] | tuple[str, ...]) -> list[str]:
        item = container(self._spec, name)
        read_only = item["securityContext"].get("readOnlyRootFilesystem", False)
        mounts = [
            line
            for mount in item["volumeMounts"]
            for line in _mounted(str(_VOLUMES / mount["name"]), mount["mountPath"], mount.get("readOnly", False))
        ]
        # The pod's volumes are visible only through the mounts.
        hidden = [f"mount -t tmpfs -o ro tmpfs {_VOLUMES}"]
        roots = ["mount -o remount,bind,ro /run", "mount -o remount,bind,ro /"] if read_only else []
        environment = {**_IMAGE, **environment_of(item)}
        rights = [
            *("setpriv", "--pdeathsig", "KILL", f"--reuid={self.user}", f"--regid={self._group}"),
            *(f"--groups={self._volume_group}", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
            *("env", "-i", "-C", "/", *(f"{key}={value}" for key, value in environment.items())),
        ]
        own_run = "mount -t tmpfs -o mode=755 tmpfs /run"
        script = ["set -e", own_run, *_opened(*map(Path.resolve, _PROGRAMS)), *mounts, *hidden, *roots]
        script.append(f"exec {shlex.join([*rights, *command])}")
        return self._namespace.args(["unshare", "--mount", "sh", "-c", "\n".join(script)])


def _mounted(volume: str, at: str, read_only: bool) -> Iterator[str]:
    if not at.startswith("/run/"):
        # The tmpfs keeps new directories out of the machine's own.
        yield f"mount -t tmpfs -o mode=755 tmpfs {Path(at).parent}"
    yield f"mkdir -p {at}"
    yield f"mount --bind {volume} {at}"
    if read_only:
        yield f"mount -o remount,bind,ro {at}"


def _opened(*paths: Path) -> list[str]:
    """Return commands that let any user reach `paths`.

    A directory above one may be closed (a checkout or a Python in root's home).
    """
    tops = {
        path: next((top for top in reversed(path.parents) if not top.stat().st_mode & 0o001), None) for path in paths
    }
    closed = {shlex.quote(str(path)): f"/run/held/{number}" for number, path in enumerate(paths) if tops[path]}
    hold = [f"mkdir -p {held} && mount --bind {path} {held}" for path, held in closed.items()]
    cover = [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(top))}" for top in {*tops.values()} - {None}]
    show = [f"mkdir -p {path} && mount --move {held} {path} && rmdir {held}" for path, held in closed.items()]
    return [*hold, *cover, *show]
