"""Debian's docker-registry: a real registry (Distribution) in the namespace."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.rig.namespace import Namespace, environment
from tests.rig.waiting import until


class Distribution:
    """A registry process. It starts with the object, and ends with `close`."""

    def __init__(
        self,
        namespace: Namespace,
        directory: Path,
        address: str,
        port: int,
        *,
        tls: tuple[Path, Path] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        directory.mkdir()
        self.log: Final = directory / "log"
        config = directory / "config.yml"
        config.write_text(json.dumps(_configuration(directory, f"{address}:{port}", tls, users)))
        with self.log.open("wb") as log:
            self._process: Final = subprocess.Popen(
                namespace.args(["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", config]),
                env=environment(),
                stdout=log,
                stderr=log,
            )
        until(f"{address}:{port} answering", lambda: self._alive() and namespace.connectable(address, port))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _alive(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        return True


def _configuration(
    directory: Path, address: str, tls: tuple[Path, Path] | None, users: Mapping[str, str] | None
) -> dict[str, Any]:
    """The settings of Distribution. They are YAML, of which JSON is a subset."""
    http: dict[str, Any] = {"addr": address, "secret": "made up", "relativeurls": True}
    if tls is not None:
        http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
        "http": http,
    }
    if users is not None:
        settings["auth"] = {"htpasswd": {"realm": "rig", "path": str(_htpasswd(directory / "htpasswd", users))}}
    return settings


def _htpasswd(path: Path, users: Mapping[str, str]) -> Path:
    """A user file with bcrypt hashes; Distribution accepts no others."""
    path.touch()
    for user, password in users.items():
        add = ["htpasswd", "-i", "-B", "-C", "4", str(path), user]
        subprocess.run(add, input=password.encode(), check=True, capture_output=True)
    return path
