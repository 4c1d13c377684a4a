"""What the login of a registry works with."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.model.credential import AwsIdentity, Credential
from agent.model.docker_config import Entry
from agent.model.plan import Login
from agent.model.problem import Problem
from agent.model.registry import Registry
from agent.services.docker_login import DockerLoginResult
from agent.services.managed_login import AppliedLogin
from agent.services.ports import Board, Clock, Log
from agent.settings import Settings


class Credentials(Protocol):
    async def credential(
        self, identity: AwsIdentity, subject: str, *, stale: Credential | None = None, force: bool = False
    ) -> Credential: ...
    def may_work(self, identity: AwsIdentity) -> bool: ...


class DockerLogin(Protocol):
    async def log_in(self, login: Login, credential: Credential) -> DockerLoginResult: ...


class Reconciler(Protocol):
    async def apply(
        self, registry: Registry, entry: Entry, *, expires_at: datetime | None, take_over: bool = False
    ) -> AppliedLogin: ...
    async def note_preexisting(self, registries: Iterable[Registry]) -> None: ...
    async def holds(self, registry: Registry) -> bool: ...
    async def remove(self, registry: Registry) -> bool: ...
    async def forget(self, registry: Registry) -> None: ...


class Rejections(Protocol):
    """Rejections that survive a restart of the agent."""

    def active(self, login: Login) -> tuple[Problem, datetime] | None: ...
    def record(self, login: Login, problem: Problem, not_before: datetime) -> None: ...
    def clear(self, login: Login) -> None: ...


class Docker(Protocol):
    @property
    def looked(self) -> asyncio.Event: ...
    @property
    def docker_ready(self) -> asyncio.Event:
        """Set while Docker's own CLI is installed and works."""
        ...

    @property
    def docker_problem(self) -> str:
        """Why `docker_ready` is not set."""
        ...


@dataclass(frozen=True, slots=True)
class LoginDependencies:
    """What all logins share. `new_id` creates the ID of an attempt."""

    credentials: Credentials
    docker_login: DockerLogin
    reconciler: Reconciler
    rejections: Rejections
    docker: Docker
    board: Board
    clock: Clock
    log: Log
    settings: Callable[[], Settings]
    new_id: Callable[[], str]
