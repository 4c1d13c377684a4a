"""Reads the login files of podman, skopeo and buildah. These programs use them before Docker's config.json."""

import os
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from agent.blocking import BlockingCalls, NoThreadError
from agent.edge.file_version import UnreadableFileError, read_version, signature
from agent.model.docker_config import ConfigError, Document, parse_config

T = TypeVar("T")

_DEADLINE_S: Final = 5.0
_FILES: Final = "auth.json"


def _default_session_files() -> list[Path]:
    """Return the default places. The agent has no session, but the user's programs do, and they use the second."""
    user = os.geteuid()
    return [Path(f"/run/containers/{user}/auth.json"), Path(f"/run/user/{user}/containers/auth.json")]


class PodmanAuthFiles:
    """Reads the files and never writes them. Places and order are those of containers-auth.json(5)."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        given = environ.get("REGISTRY_AUTH_FILE")
        session = environ.get("XDG_RUNTIME_DIR")
        config = environ.get("XDG_CONFIG_HOME") or home / ".config"
        self.paths: Final = (
            *([Path(given)] if given else []),
            *([Path(session, "containers/auth.json")] if session else _default_session_files()),
            Path(config, "containers/auth.json"),
        )
        self._calls: Final = BlockingCalls("podman-auth")

    async def read(self) -> dict[str, Document]:
        """Return the documents by path, in podman's order. Files that are missing or unreadable are left out."""
        return await self._in_thread(self._read, {})

    async def signature(self) -> Hashable:
        """Return a value that differs whenever one of the files has changed."""
        return await self._in_thread(self.signature_now, ())

    def signature_now(self) -> Hashable:
        """Do the same as `signature`, but block the calling thread."""
        return tuple(signature(path) for path in self.paths)

    async def _in_thread(self, work: Callable[[], T], default: T) -> T:
        """Run `work` in the thread. While a file system hangs, return `default`."""
        try:
            return await self._calls.call(_FILES, work, timeout=_DEADLINE_S)
        except (TimeoutError, NoThreadError):
            return default

    def _read(self) -> dict[str, Document]:
        documents: dict[str, Document] = {}
        for path in self.paths:
            try:
                version = read_version(path)
                if version is not None:
                    documents[str(path)] = parse_config(version.data)
            except (OSError, UnreadableFileError, ConfigError):
                continue
        return documents
