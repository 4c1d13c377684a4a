"""A private directory in which the demo's agent lives, away from the person's own Docker, AWS and agent."""

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import agent
from agent.demo.tls import AUTHORITY

_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_CONFIG: Final = """\
[environment]
id = "demo"

[secrets]
directories = [{secrets}]
environment = false

[retry]
max_wait_s = 8

[status]
listen = "127.0.0.1:{port}"

[log]
format = "json"
"""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything of one demo is; `status_url` is where its agent answers."""

    root: Path
    port: int

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def docker_config(self) -> Path:
        return self.root / "docker" / "config.json"

    @property
    def authority(self) -> Path:
        """The certificate that the agent, and so docker, trusts."""
        return self.root / "authority.pem"

    @property
    def log(self) -> Path:
        return self.root / "agent.log"

    @property
    def socket(self) -> Path:
        return self.root / "run" / "agent.sock"

    @property
    def status_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "agent", "run", "--config", str(self.root / "config.toml")]

    def environment(self, aws_url: str, environ: Mapping[str, str]) -> dict[str, str]:
        """What the agent is started with: nothing of the person's but the few variables that a program needs.

        No engine takes part: one in another machine or container would not see these registries.
        """
        kept = {name: environ[name] for name in _KEPT_VARIABLES if name in environ}
        return kept | {
            "HOME": str(self.root),
            "PYTHONPATH": str(Path(agent.__file__).parent.parent),
            "RUNTIME_DIRECTORY": str(self.socket.parent),
            "STATE_DIRECTORY": str(self.root / "state"),
            "DOCKER_CONFIG": str(self.docker_config.parent),
            "DOCKER_HOST": f"unix://{self.root}/no-engine.sock",
            "SSL_CERT_FILE": str(self.authority),
            "AWS_ENDPOINT_URL_ECR": aws_url,
            "AWS_ENDPOINT_URL_STS": aws_url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws_url,
        }

    def docker_hosts(self) -> list[str]:
        """The registries that Docker's config.json now holds a login for."""
        try:
            document = json.loads(self.docker_config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return sorted(document.get("auths", {}))

    def log_tail(self, lines: int) -> list[str]:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        except OSError:
            return []

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def make_workspace(secrets: Iterable[Mapping[str, Any]]) -> Workspace:
    """A fresh stage (0700) with a settings file and `secrets`, one file each.

    Raises:
        OSError: no room for it, or no free port.
    """
    stage = Workspace(Path(tempfile.mkdtemp(prefix="agent-demo-")), _free_port())
    for directory in (stage.secrets, stage.docker_config.parent, stage.socket.parent, stage.root / "state"):
        directory.mkdir(mode=0o700)
    for secret in secrets:
        _write(stage.secrets / f"{secret['name']}.json", json.dumps(secret))
    _write(stage.authority, AUTHORITY)
    _write(stage.root / "config.toml", _CONFIG.format(secrets=json.dumps(str(stage.secrets)), port=stage.port))
    return stage


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - open, since the mode counts from the start
        file.write(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
