"""What services, the web and the log need from each other and from the outside, each declared once.

A component names a port in its constructor, and `wiring.py` passes the real thing. So every component can be tested on
a fake clock with fakes that mypy checks against these Protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

# Only for the annotations: the bootstrap loads this file, and the status must not wait for what only logins need.
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from pathlib import Path

    from agent.model.credential import Credential, TokenSource
    from agent.model.docker_config import Document, Entry
    from agent.model.docker_results import CliResult
    from agent.model.engine import EngineAnswer
    from agent.model.login_events import Now
    from agent.model.plan import Login
    from agent.model.problem import Problem
    from agent.model.registry import Registry
    from agent.model.rejected_program import RejectedProgram
    from agent.model.secret_formats import ParseResult
    from agent.model.snapshot import Snapshot
    from agent.model.status import Flavor, Phase, RegistryStatus, Tools
    from agent.model.stored_state import AppliedLogin, Rejection, StoredLogin, StoreNews


class Clock(Protocol):
    """The wall clock, and two in seconds that nobody can set. Only `boot_time` continues during a suspend."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def boot_time(self) -> float: ...
    async def wait(self, event: asyncio.Event, timeout: float) -> bool:
        """Wait for the event, at most `timeout` seconds. Returns whether it is set."""


class ConfirmedTime(Protocol):
    """How far servers have confirmed the clock; see `services/confirmed_time.py`."""

    def now(self) -> Now: ...
    def boot_time(self) -> float: ...
    def doubt(self) -> None:
        """A server reports that the wall clock is wrong."""


class Log(Protocol):
    """Logs an event under its fixed name, with data in fields."""

    def debug(self, event: str, **fields: Any) -> None: ...
    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...
    def error(self, event: str, **fields: Any) -> None: ...
    def exception(self, event: str, **fields: Any) -> None: ...


class Reporter(Protocol):
    """Takes the problems that are true now."""

    def report(self, owner: str, problems: Iterable[Problem] = (), *, repeat: bool = True) -> None:
        """Replace everything that `owner` reported before. Without `repeat`, the same problems again are no news."""


class Board(Reporter, Protocol):
    """What is true now; see `services/board.py`."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def first_attempts_done(self) -> asyncio.Event:
        """Set once each registry was attempted or skipped. What is only reported waits for it."""
        ...

    async def changed(self, since: int) -> Snapshot:
        """Wait for a snapshot with another revision than `since`."""

    def batch(self) -> AbstractContextManager[None]:
        """Publish all changes of a `with` block as one revision."""

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

    def watch(
        self,
        look: Callable[[], Hashable],
        changed: asyncio.Event,
        *,
        every: int = 1,
        directories: Callable[[], Iterable[Path]] | None = None,
    ) -> Callable[[], None]:
        """Set `changed` when `look` returns a different value than before. `look` may block.

        Returns a function that ends the watch.
        """


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
    def save_again(self) -> None: ...
    def problems(self) -> tuple[Problem, ...]: ...
    async def flush(self) -> None: ...


class SecretFiles(Protocol):
    """Directories of secrets. All methods block.

    `signature` and `read` raise `SecretsUnavailable` if the directory cannot be listed.
    """

    def signature(self, directory: Path) -> Hashable: ...
    def directories(self, directory: Path) -> Iterable[Path]: ...
    def read(self, directory: Path) -> Mapping[str, ParseResult]: ...
    def same_files(self, subjects: Iterable[str], used: Iterable[str | Path]) -> Iterable[str]: ...


class ConfigFile(Protocol):
    """Docker's config.json; see `edge/docker_config.py`. `signature_now` blocks."""

    async def read(self) -> Document: ...
    async def update(self, change: Callable[[Document], Document]) -> Document: ...
    async def remove_leftovers(self) -> None: ...
    async def signature(self) -> Hashable: ...
    def signature_now(self) -> Hashable: ...


class PodmanFiles(Protocol):
    """The files in which podman looks for a login before Docker's. `signature_now` blocks."""

    async def read(self) -> dict[str, Document]: ...
    async def signature(self) -> Hashable: ...
    def signature_now(self) -> Hashable: ...


class CredentialHelpers(Protocol):
    """The programs docker-credential-NAME."""

    async def servers(self, name: str) -> list[str]: ...
    async def get(self, name: str, server: str) -> Entry | None: ...
    async def store(self, name: str, server: str, entry: Entry) -> None: ...
    async def erase(self, name: str, server: str) -> None: ...


class StoreChoice(Protocol):
    """Whether Docker is to ask the agent for logins, instead of its own store. `signature_now` blocks."""

    async def wanted(self) -> bool: ...
    async def possible(self) -> bool:
        """Whether Docker could ask the agent, whatever is wanted."""

    def signature_now(self) -> Hashable: ...


class DockerCli(Protocol):
    """Runs `docker login` in a private configuration directory."""

    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> CliResult: ...


class ToolProbes(Protocol):
    """Checks the tools. Only `docker_version` raises: a `ProblemError` if it is neither Docker's own CLI nor podman."""

    @property
    def flavor(self) -> Flavor:
        """Which program `docker_version` has found last."""

    def find(self, name: str) -> Path | None: ...
    def find_docker(self) -> Path | None:
        """Return the program that logs in: docker, or podman if there is no docker. Blocks."""

    def rejected_docker(self) -> RejectedProgram | None:
        """Return the program that `find_docker` passes over, and why. Blocks."""

    async def docker_version(self, program: Path) -> str: ...
    async def aws_version(self, program: Path) -> str | None: ...
    def find_engine(self) -> Hashable:
        """Find the engine for the following calls of `engine`. Blocks."""

    async def engine(self) -> EngineAnswer: ...


class Docker(Protocol):
    """What `services/tools.py` has found of Docker."""

    @property
    def looked(self) -> asyncio.Event:
        """Set after the first check."""

    @property
    def docker_ready(self) -> asyncio.Event:
        """Set while Docker's own CLI is installed and works."""

    @property
    def docker_problem(self) -> str:
        """Why `docker_ready` is not set."""


class DockerProgram(Protocol):
    """The docker CLI that logins use, and whether an engine answers."""

    @property
    def docker(self) -> Path | None: ...
    async def engine_reachable(self) -> bool: ...
    def gone(self, program: Path, problem: Problem) -> None:
        """The program is gone, or is no longer Docker's own CLI."""


class Credentials(Protocol):
    """One token for each source; see `services/credentials.py`."""

    async def credential(
        self, source: TokenSource, subject: str, *, stale: Credential | None = None, force: bool = False
    ) -> Credential: ...
    def may_work(self, source: TokenSource) -> bool: ...
    def source_changed(self, source: TokenSource) -> bool: ...
    def retain(self, sources: Collection[TokenSource]) -> None:
        """Forget all other sources."""


class Reconciler(Protocol):
    """Stores logins and keeps them in place; see `services/reconciler.py`."""

    async def announce(self, registry: Registry) -> None:
        """An attempt begins, maybe the first one."""

    async def apply(
        self, registry: Registry, entry: Entry, *, expires_at: datetime | None, take_over: bool = False
    ) -> AppliedLogin: ...
    def note_replaceable(self, registry: Registry) -> None:
        """Note which logins `apply` may replace with `take_over`: those that are stored now."""

    async def note_preexisting(self, registries: Iterable[Registry]) -> None: ...
    async def resume(self, registry: Registry) -> bool | None: ...
    async def in_use(self, registry: Registry) -> tuple[Entry, bool] | None:
        """The login that Docker uses, and whether the agent stored it. None if there is none.

        Raises a ProblemError if the store cannot be read.
        """

    def held(self, registry: Registry) -> StoredLogin | None:
        """The agent's login that Docker holds, as far as known. Its `expires_at` is when that one ends."""

    def unusable(self, registry: Registry) -> Problem | None:
        """Why Docker's next pull uses no login that works. None if it does, or if nothing is known."""

    def news(self, registry: Registry) -> StoreNews: ...
    def note_refused(self, registry: Registry, entry: Entry | None) -> None: ...
    async def remove(
        self, registry: Registry, is_due: Callable[[], bool] = ..., *, still_wanted: bool = False
    ) -> bool: ...
    async def forget(self, registry: Registry, *, excluded: bool = False) -> None: ...
    async def forget_except(self, registries: Collection[Registry]) -> None:
        """Let Docker stop asking the agent for all other registries, if the agent has no login for them."""


class Rejections(Protocol):
    """Rejections that survive a restart of the agent."""

    async def active(self, login: Login, credential: Credential | None = None) -> tuple[Problem, timedelta] | None: ...
    def record(self, login: Login, problem: Problem, wait: timedelta, credential: Credential | None = None) -> None: ...
    def clear(self, login: Login) -> None: ...


class Service(Protocol):
    """A component that runs as long as the agent does. `run` never returns."""

    @property
    def name(self) -> str: ...
    async def run(self) -> None: ...
