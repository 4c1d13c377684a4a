"""What becomes of a renewal that was slept through."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.services.login import RegistryLogin
from tests.services.login_fakes import HOURS, Bench, native


@pytest.fixture(autouse=True)
async def login(bench: Bench) -> AsyncIterator[RegistryLogin]:
    """Holds a token of 12 h, due after 6."""
    login = bench.login(native())
    task = asyncio.create_task(login.run())
    await bench.clock.settle()
    yield login
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("slept_h", [6.01, 7, 11.9])
async def test_a_good_token_is_renewed_at_once_after_a_sleep(bench: Bench, slept_h: float) -> None:
    """However long it is still good: the machine may sleep again before long."""
    bench.clock.jump(slept_h * HOURS)
    await bench.clock.advance(30)
    assert bench.docker_login.tried == ["token-0", "token-1"]


async def test_a_short_sleep_brings_no_renewal(bench: Bench) -> None:
    """A token that is not due stays."""
    bench.clock.jump(5 * HOURS)
    await bench.clock.advance(30)
    assert bench.docker_login.tried == ["token-0"]
