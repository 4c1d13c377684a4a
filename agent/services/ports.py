"""What services, the web and the log need from each other and from the outside, each declared once.

A component names a port in its constructor, and `wiring.py` passes the real thing. So every component can be tested on
a fake clock with fakes that mypy checks against these Protocols.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from agent.model.docker_config import Entry
from agent.model.problem import Problem
from agent.model.snapshot import Snapshot
from agent.model.status import Phase, RegistryStatus, Tools
from agent.model.stored_state import Rejection, StoredLogin


class Clock(Protocol):
    """The wall clock, and the monotonic clock in seconds."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def wait(self, event: asyncio.Event, timeout: float) -> bool:
        """Wait for the event, at most `timeout` seconds. Returns whether it is set."""
        ...


class Log(Protocol):
    """Logs an event under its fixed name, with data in fields."""

    def debug(self, event: str, **fields: Any) -> None: ...
    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...
    def error(self, event: str, **fields: Any) -> None: ...
    def exception(self, event: str, **fields: Any) -> None: ...


class Reporter(Protocol):
    """Takes the problems that are true now."""

    def report(self, owner: str, problems: Iterable[Problem] = ()) -> None:
        """Replace everything that `owner` reported before."""
        ...


class Board(Reporter, Protocol):
    """What is true now; see `services/board.py`."""

    @property
    def snapshot(self) -> Snapshot: ...
    async def changed(self, since: int) -> Snapshot:
        """Wait for a snapshot with another revision than `since`."""
        ...

    def put_registry(self, registry: RegistryStatus) -> None: ...
    def remove_registry(self, hostname: str) -> None: ...
    def set_stored_in(self, hostname: str, stored_in: str | None) -> None: ...
    def set_tools(self, tools: Tools) -> None: ...
    def set_phase(self, phase: Phase) -> None: ...
    def clock_jumped(self) -> None: ...


class StatusDocument(Protocol):
    """The status as JSON."""

    def encode(self, snapshot: Snapshot) -> bytes: ...


class FileWatcher(Protocol):
    """Checks files on behalf of all components."""

    @property
    def alive(self) -> bool:
        """Whether the watcher works. If not, each component polls its own files."""
        ...

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,
    ) -> None:
        """Set `changed` when `look` returns a different value than before. `look` may block."""
        ...


class StateFile(Protocol):
    """What survives a restart of the agent; see `edge/state_file.py`."""

    @property
    def preexisting(self) -> Mapping[str, str] | None: ...
    def set_preexisting(self, preexisting: Mapping[str, str]) -> None: ...
    def digest(self, docker_key: str, entry: Entry) -> str: ...
    def entries(self) -> Mapping[str, StoredLogin]: ...
    def set_entry(self, hostname: str, entry: StoredLogin | None) -> None: ...
    def fingerprint(self, *parts: str) -> str: ...
    def rejection(self, hostname: str) -> Rejection | None: ...
    def set_rejection(self, hostname: str, rejection: Rejection | None) -> None: ...
    async def flush(self) -> None: ...
