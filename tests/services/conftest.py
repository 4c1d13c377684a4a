"""A registry's login on a clock that moves only when the test moves it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

import pytest

from agent.model.plan import Login
from agent.services.login import RegistryLogin
from tests.services.login_fakes import Bench

Begin: TypeAlias = Callable[..., Awaitable[RegistryLogin]]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def begin(bench: Bench) -> AsyncIterator[Begin]:
    """Starts a login's task, and ends it after the test."""
    tasks: list[asyncio.Task[None]] = []

    async def start(login: Login, ends_at: datetime | None = None) -> RegistryLogin:
        registry_login = bench.login(login, ends_at)
        tasks.append(asyncio.create_task(registry_login.run()))
        await bench.clock.settle()
        return registry_login

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
