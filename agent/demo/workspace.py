"""A private directory for the demo's agent, separate from the person's own Docker, AWS and agent."""

import json
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Mapping
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


class Workspace:
    """The directory with all files of one demo, and the port of its agent's status."""

    def __init__(self, root: Path, port: int) -> None:
        self.root: Final = root
        self.port: Final = port
        self.secrets: Final = root / "secrets"
        self.docker_config: Final = root / "docker" / "config.json"
        # The certificate that the agent and docker trust.
        self.authority: Final = root / "authority.pem"
        self.log: Final = root / "agent.log"
        self.socket: Final = root / "run" / "agent.sock"
        self.status_url: Final = f"http://127.0.0.1:{port}"

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "agent", "run", "--config", str(self.root / "config.toml")]

    def environment(self, aws_url: str, environ: Mapping[str, str]) -> dict[str, str]:
        """The agent's environment. Of the person's own, it has only the few variables that any program needs.

        It points to no Docker engine: an engine in another machine or container could not reach these registries.
        """
        kept = {name: environ[name] for name in _KEPT_VARIABLES if name in environ}
        return kept | {
            "HOME": str(self.root),
            "PYTHONPATH": str(Path(agent.__file__).parent.parent),
            "RUNTIME_DIRECTORY": str(self.socket.parent),
            "STATE_DIRECTORY": str(self.root / "state"),
            # Otherwise the demo would log the person in to its registries.
            "DOCKER_CONFIG": str(self.docker_config.parent),
            "DOCKER_HOST": f"unix://{self.root}/no-engine.sock",
            "SSL_CERT_FILE": str(self.authority),
            "AWS_ENDPOINT_URL_ECR": aws_url,
            "AWS_ENDPOINT_URL_STS": aws_url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws_url,
        }

    def docker_hosts(self) -> list[str]:
        """The registries that have a login in Docker's config.json."""
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
    """Create a private directory (0700) with a settings file and one file for each secret.

    Raises:
        OSError: the disk is full, or no port is free.
    """
    workspace = Workspace(Path(tempfile.mkdtemp(prefix="agent-demo-")), _free_port())
    for name in ("secrets", "docker", "run", "state"):
        (workspace.root / name).mkdir(mode=0o700)
    for secret in secrets:
        _write(workspace.secrets / f"{secret['name']}.json", json.dumps(secret))
    _write(workspace.authority, AUTHORITY)
    config = _CONFIG.format(secrets=json.dumps(str(workspace.secrets)), port=workspace.port)
    _write(workspace.root / "config.toml", config)
    return workspace


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)  # the file is private from the start
    path.write_text(text, encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
