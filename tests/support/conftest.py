"""Fixture: a person's machine on which `registry-agent support-bundle` runs."""

import asyncio
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Ended, ended
from tests.support.stub import program


@dataclass
class Machine:
    """Has its own directories below `home`. Agents, secrets and credentials of the real machine are not reachable."""

    home: Path
    runtime: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.secrets = self.home / "secrets"
        self.bin = self.home / "bin"
        self.docker = self.home / ".docker"
        self.here = self.home / "here"
        for directory in (self.secrets, self.bin, self.docker, self.here):
            directory.mkdir()
        self.socket = self.runtime / "agent.sock"
        self.settings = self.home / "config.toml"
        self.set({})
        self.env |= {
            "HOME": str(self.home),
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "RUNTIME_DIRECTORY": str(self.runtime),
            "XDG_RUNTIME_DIR": str(self.home / "session"),
        }
        for name in ("docker", "aws", "podman", "systemctl", "systemd-detect-virt", "journalctl"):
            program(self.bin, name, f"echo {name} 1.2.3")

    def set(self, sections: dict[str, dict[str, Any]]) -> None:
        """Write the settings file. JSON strings and lists are valid TOML."""
        sections = {**sections, "secrets": {"directories": [str(self.secrets)], **sections.get("secrets", {})}}
        lines = [
            line
            for section, keys in sections.items()
            for line in [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        ]
        self.settings.write_text("\n".join(lines))

    async def run(self, *args: str, before: tuple[str, ...] = ()) -> Ended:
        """Run the command in the directory `here`."""
        return await ended(await self.start(*args, before=before))

    async def start(self, *args: str, before: tuple[str, ...] = ()) -> asyncio.subprocess.Process:
        command = [*before, sys.executable, "-m", "agent", "support-bundle", "--config", str(self.settings), *args]
        kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return await asyncio.create_subprocess_exec(
            *command,
            # Where a limit makes files short, Python would keep the short bytecode for all later runs.
            env={**kept, **self.env, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=self.here,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


def unpacked(data: bytes) -> dict[str, bytes]:
    """The content of each file, without the directory that contains all of them."""
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        members = archive.getmembers()
        assert all(member.isreg() and member.mode == 0o600 and member.uid == 0 for member in members)
        (directory,) = {member.name.partition("/")[0] for member in members}
        assert directory not in ("", ".", "..")
        files = {}
        for member in members:
            name = member.name.removeprefix(f"{directory}/")
            assert "/" not in name
            content = archive.extractfile(member)
            assert content is not None
            files[name] = content.read()
        return files


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    # A short directory: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ra-") as runtime:
        yield Machine(tmp_path, Path(runtime))
