"""Reads the login files of podman, skopeo and buildah. These programs use them before Docker's config.json."""

import asyncio
import os
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.edge.file_version import UnreadableFileError, read_version, signature
from agent.edge.threads import WorkerThreads
from agent.model.docker_config import ConfigError, Document, parse_config

T = TypeVar("T")

_DEADLINE_S: Final = 5.0


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
        self._paths: Final = (
            *([Path(given)] if given else []),
            *([Path(session, "containers/auth.json")] if session else _default_session_files()),
            Path(config, "containers/auth.json"),
        )
        self._thread: Final = WorkerThreads(1, "podman-auth")
        self._hanging: asyncio.Future[Any] | None = None

    async def read(self) -> dict[str, Document]:
        """Return the documents by path, in podman's order. Files that are missing or unreadable are left out."""
        return await self._in_thread(self._read, {})

    async def signature(self) -> Hashable:
        """Return a value that differs whenever one of the files has changed."""
        return await self._in_thread(self.signature_now, ())

    def signature_now(self) -> Hashable:
        """Do the same as `signature`, but block the calling thread."""
        return tuple(signature(path) for path in self._paths)

    async def _in_thread(self, work: Callable[[], T], default: T) -> T:
        """Run `work` in the thread. While a file system hangs, return `default` and do not try again."""
        if self._hanging is not None and not self._hanging.done():
            return default
        work_done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        done, _ = await asyncio.wait({work_done}, timeout=_DEADLINE_S)
        if not done:
            self._hanging = work_done
            return default
        return work_done.result()

    def _read(self) -> dict[str, Document]:
        documents: dict[str, Document] = {}
        for path in self._paths:
            try:
                version = read_version(path)
                if version is not None:
                    documents[str(path)] = parse_config(version.data)
            except (OSError, UnreadableFileError, ConfigError):
                continue
        return documents
